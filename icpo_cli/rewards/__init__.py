"""From text to verdict to reward."""
