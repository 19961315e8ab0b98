"""What a response says its answer is, apart from whether that is right."""

import re

ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def answer_tag(response: str) -> str | None:
    """The text of the one <answer> pair; None where there is none, several, or an empty one."""
    if response.count("<answer>") != 1 or response.count("</answer>") != 1:
        return None
    found = ANSWER.search(response)
    answer = found.group(1).strip() if found else ""
    return answer or None
