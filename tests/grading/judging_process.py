"""Judges eight cases one at a time. Killed half way by test_judge_cache.py."""

import sys

from icpo_cli.config.schema import JudgeConfig
from icpo_cli.grading.judge.judge import Case, OpenAIJudge

CASES = [Case("Which?", "one half", f"answer-{number}") for number in range(8)]

if __name__ == "__main__":
    url, cache = sys.argv[1:]
    OpenAIJudge(JudgeConfig(mode="alone", url=url, cache=cache, requests_at_once=1)).judge(CASES)
