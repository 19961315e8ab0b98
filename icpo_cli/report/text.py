"""Untrusted text as it can be looked at: nothing in it acts on the page or the terminal."""

CONTROLS = [code for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
UNSEEN = [0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
"""Marks of direction, spaces without width."""
LONE = range(0xD800, 0xE000)
"""Halves of a character, which UTF-8 refuses."""
SHOWN = {code: f"⟨U+{code:04X}⟩" for code in (*CONTROLS, *UNSEEN)} | dict.fromkeys(LONE, "\N{REPLACEMENT CHARACTER}")


def visible(text: str) -> str:
    """Control codes and marks that cannot be seen are shown as ⟨U+001B⟩; line breaks and tabs stay."""
    return text.replace("\r\n", "\n").translate(SHOWN)


def shortened(text: str, head: int, tail: int) -> str:
    """Its beginning and end, and between them how many letters are left out."""
    left_out = len(text) - head - tail
    if left_out <= 0:
        return text
    return f"{text[:head]}\n[… {left_out:,} letters left out …]\n{text[len(text) - tail :]}"
