"""Progress of a training run: a line per iteration, or a panel with curves, phase times and held-out accuracy."""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TextIO

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from icpo_cli.cli.display import Display, display_for, log_note, log_phase, sparkline
from icpo_cli.evaluate.score import EvalResult
from icpo_cli.evaluate.table import result_text
from icpo_cli.text import printable

CURVES = {"reward/verif": "reward", "accuracy": "accuracy", "entropy": "entropy", "omega": "omega"}
PHASES = ("rollout", "reward", "logprobs", "update", "sync")
STOPPING = b"stopping: this iteration is finished and saved; a second signal stops at once and loses this iteration\n"


class TrainProgress:
    """Observer of the training loop: phases go to the log, iterations and evaluations to the display."""

    def __init__(self, stream: TextIO | None, name: str, iterations: int) -> None:
        """Without a stream, only the log is written."""
        self._stream = stream
        self._name = name
        self._iterations = iterations
        self._eta = "-"
        self._seconds: list[float] = []
        self._history: dict[str, list[float]] = {key: [] for key in CURVES}
        self._evaluations: list[str] = []
        self._metrics: Mapping[str, float] = {}
        self._phase = (0, "starting")
        self.display = display_for(stream, self._panel) if stream else Display()

    def phase(self, iteration: int, name: str) -> None:
        log_phase(f"iteration {iteration}: {name}")
        self._phase = (iteration, name)

    def iteration(self, iteration: int, metrics: Mapping[str, float]) -> None:
        self._metrics = metrics
        for key in self._history.keys() & metrics.keys():
            self._history[key].append(metrics[key])
        self._seconds.append(metrics["seconds/iteration"])
        left = (self._iterations - iteration) * sum(self._seconds) / len(self._seconds)
        self._eta = str(timedelta(seconds=round(left)))
        self.display.line(self._line(iteration, metrics))

    def evaluation(self, iteration: int, result: EvalResult) -> None:
        text = result_text(result)
        log_note(f"after {iteration} iterations: {text}")
        self._evaluations.append(f"after {iteration}: {text}")
        self.display.line(f"after {iteration} iterations: {text}")

    def stopping(self) -> None:
        """Called in a signal handler: writes bytes past every buffer, because a buffer may be in use."""
        if self._stream:
            os.write(self._stream.fileno(), STOPPING)

    def note(self, text: str) -> None:
        log_note(text)
        self.display.note(text)

    def _line(self, iteration: int, metrics: Mapping[str, float]) -> str:
        seconds = " ".join(f"{name} {metrics[f'seconds/{name}']:.1f}" for name in PHASES)
        accuracy = f"accuracy {metrics['accuracy']:.1%}  " if "accuracy" in metrics else ""
        entropy = f"entropy {metrics['entropy']:.3f}  " if "entropy" in metrics else ""
        return (
            f"iteration {iteration}/{self._iterations}  reward {metrics['reward/verif']:.3f}  "
            f"{accuracy}{entropy}omega {metrics['omega']:.2f}  "
            f"seconds {metrics['seconds/iteration']:.1f} ({seconds})  {_speed(metrics)}eta {self._eta}"
        )

    def _panel(self) -> RenderableType:
        curves = Table.grid(padding=(0, 2))
        for key, label in CURVES.items():
            values = self._history[key]
            curves.add_row(label, f"{values[-1]:.3f}" if values else "-", sparkline(values, 50))
        seconds = "  ".join(f"{name} {self._metrics.get(f'seconds/{name}', 0):.1f}" for name in PHASES)
        iteration, phase = self._phase
        lines: list[RenderableType] = [
            Text(f"iteration {iteration}/{self._iterations}  {phase}   eta {self._eta}"),
            curves,
            Text(f"seconds  {seconds}"),
            Text(_speed(self._metrics)),
            *[Text(line) for line in self._evaluations[-4:]],
        ]
        return Panel(Group(*lines), title=Text(f"icpo train · {printable(self._name)}"), title_align="left")


def _speed(metrics: Mapping[str, float]) -> str:
    """Speed, idle time and padding, as far as they are known."""
    texts = {
        "tokens_per_second/device": "{:,.0f} tokens/s/device",
        "mfu/update": "MFU {:.0%}",
        "seconds/rollout_wait": "rollout wait {:.1f} s",
        "seconds/rollout_tail": "tail {:.1f} s",
        "padding_share": "padding {:.0%}",
    }
    return "".join(f"{text.format(metrics[name])}  " for name, text in texts.items() if name in metrics)
