"""SIGTERM and Ctrl-C: the first is recorded, the second ends the work in hand, and handlers are restored."""

import signal

import pytest

from icpo_cli.errors import EndedAtOnce
from icpo_cli.interrupt import SIGNALS, StopSignal


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_recorded_and_handlers_are_restored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    told: list[bool] = []
    with StopSignal(lambda: told.append(True)) as stop:
        assert stop.signal == 0
        signal.raise_signal(number)
        assert (stop.signal, told) == (number, [True])
        assert [signal.getsignal(each) for each in SIGNALS] == [signal.SIG_DFL] * 2  # a second one ends the process
    assert signal.getsignal(number) is before


def test_a_second_signal_raises_in_interruptible_work_and_a_third_ends_the_process() -> None:
    with StopSignal(keep_records=True) as stop:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(EndedAtOnce) as ended, stop.interruptible():
            signal.raise_signal(signal.SIGINT)
        assert ended.value.signal == signal.SIGINT
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_while_records_are_written_a_second_signal_waits() -> None:
    with StopSignal(keep_records=True) as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(EndedAtOnce), stop.interruptible():
            raise AssertionError("the block must not begin")


def test_all_ranks_agree_on_a_signal_that_one_received() -> None:
    stop = StopSignal()
    assert not stop.requested(lambda value: value)
    assert stop.requested(lambda value: max(value, 15.0))
    assert stop.signal == 15
