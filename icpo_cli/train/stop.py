"""SIGTERM and Ctrl-C: finish the iteration, save, leave. A second one leaves at once."""

from icpo_cli.evaluate.stop import StopSignal
from icpo_cli.learner.ranks import Ranks


class StopRequest(StopSignal):
    """Whether, and by which signal, any rank of the run was asked to stop."""

    def asked(self, ranks: Ranks) -> bool:
        """The same answer on all ranks."""
        self.signal = int(ranks.most(self.signal))
        return self.signal != 0
