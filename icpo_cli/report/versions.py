"""Which numbers may share a table: those of one grader, each benchmark's on the same questions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from icpo_cli.report.results import TITLES, BenchScore

ANEW = "`icpo eval --rescore RUN` grades stored responses anew, --mixed shows them all, marked"
DIGEST_LETTERS = 8


@dataclass(frozen=True)
class Versions:
    """What a table's numbers are of."""

    grader: str
    data: Mapping[str, str]
    """Fingerprint of the questions, by benchmark."""

    def fits(self, bench: str, cell: BenchScore) -> bool:
        return cell.grader == self.grader and cell.data == self.data[bench]

    def differences(self, bench: str, cell: BenchScore) -> list[str]:
        """What a reader must know of a cell that does not fit, a note each."""
        notes = []
        if cell.grader != self.grader:
            notes.append(f"Graded by verifier {cell.grader}; unmarked ones by {self.grader}.")
        if cell.data != self.data[bench]:
            notes.append(f"On other {TITLES[bench]} questions than unmarked ones: data {cell.data[:DIGEST_LETTERS]}.")
        return notes


def versions_of(results: Sequence[Mapping[str, BenchScore]]) -> Versions:
    """Those of the newest whole result, by benchmark where that has none; `results` newest first, not empty.

    A partial one speaks only where there is no whole one.
    """
    cells = [(bench, cell) for result in results for bench, cell in result.items()]
    cells.sort(key=lambda named: named[1].partial)  # sorts stably: whole ones first, newest of them first
    grader = cells[0][1].grader
    # Of benchmarks that this grader never saw, the newest data.
    cells.sort(key=lambda named: named[1].grader != grader)
    data: dict[str, str] = {}
    for bench, cell in cells:
        data.setdefault(bench, cell.data)
    return Versions(grader, data)


def clash(cells: Iterable[tuple[str, BenchScore]], versions: Versions) -> str:
    """What keeps these from sharing a table, in one line; empty where nothing does."""
    other = [(bench, cell) for bench, cell in cells if not versions.fits(bench, cell)]
    graders = sorted({cell.grader for _, cell in other} - {versions.grader})
    benches = sorted({TITLES[bench] for bench, cell in other if cell.data != versions.data[bench]})
    parts = [f"by another grader (verifier {', '.join(graders)}; here {versions.grader})"] if graders else []
    parts += [f"on other questions of {', '.join(benches)}"] if benches else []
    runs = len({cell.run_id for _, cell in other})
    return f"{runs} {'evaluation is' if runs == 1 else 'evaluations are'} {' or '.join(parts)}" if other else ""
