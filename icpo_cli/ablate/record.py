"""Records of a study: its MLflow run, the parent of its jobs' runs; tables and curves, updated while it runs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from icpo_cli.ablate.collect import collect
from icpo_cli.ablate.curves import FOLDER, draw_curves
from icpo_cli.ablate.result import StudyResult, result_of
from icpo_cli.ablate.study import Study, jobs_of
from icpo_cli.ablate.table import input_parity_markdown, table_document, to_csv, to_markdown
from icpo_cli.config.load import flatten, to_tree
from icpo_cli.errors import UserError
from icpo_cli.runs.files import write_text
from icpo_cli.runs.run_dir import KIND, Kind, Status
from icpo_cli.track.mlflow_store import STORE_ERRORS, MlflowStore
from icpo_cli.track.tracker import code_version

STUDY = "study.json"
RESULT = "result.json"

Warn = Callable[[str], None]


class StudyRecord:
    """Records of a running study. If the MLflow store fails, a warning is shown and the study continues."""

    def __init__(self, study: Study, store: MlflowStore, warn: Warn) -> None:
        self.study = study
        self.run_id = store.run_id
        self.jobs = jobs_of(study, store.run_id)
        self._store = store
        self._warn = warn

    def describe(self) -> None:
        """Log arms, seeds, code version, and the configuration of the base arm."""
        config = flatten(to_tree(self.study.arms[0].config))
        # Without the seed: seeds can be added to a study later, but an MLflow parameter cannot be changed.
        params = {key: value for key, value in config.items() if key != "seed"}
        tags = {
            KIND: Kind.STUDY,
            "study.name": self.study.name,
            "study.about": self.study.about,
            "study.folder": str(self.study.folder),
            "study.seeds": ", ".join(map(str, self.study.seeds)),
            "study.arms": json.dumps({arm.name: arm.overrides for arm in self.study.arms}),
        }
        self._try(lambda: self._store.log_params(params))
        self._try(lambda: self._store.log_tags(tags | code_version()))

    def refresh(self) -> StudyResult:
        """Write tables and curves of the results so far into the study's folder, then log them to MLflow."""
        folder, records = self.study.folder, collect(self.jobs)
        result = result_of(self.study, self.run_id, records)
        texts = {
            "table.md": to_markdown(result),
            "table.csv": to_csv(result),
            "input_parity.md": input_parity_markdown(result),
            RESULT: json.dumps(result.document() | {"table": table_document(result)}, indent=2),
        }
        for name, text in texts.items():
            write_text(folder / name, text)
        curves = draw_curves(self.study, records, folder)
        done = sum(job.status is Status.DONE for job in records)
        self._try(lambda: self._send([folder / name for name in texts], curves))
        self._try(lambda: self._store.log_tags({"study.jobs_done": f"{done} of {len(records)}"}))
        return result

    def end(self, status: Status) -> None:
        self._try(lambda: self._store.end(status))

    def _send(self, files: list[Path], curves: list[Path]) -> None:
        for path in files:
            self._store.log_artifact(path)
        for path in curves:
            self._store.log_artifact(path, FOLDER)

    def _try(self, log: Callable[[], None]) -> None:
        try:
            log()
        except STORE_ERRORS as error:
            self._warn(f"MLflow did not answer; the study's record is in {self.study.folder}: {_one_line(error)}")


@contextmanager
def recorded(study: Study, warn: Warn) -> Iterator[StudyRecord]:
    """The study's record; when the block ends, its status in MLflow is set.

    DONE if all jobs are done, FAILED if one failed or the block raises, STOPPED if jobs are left that can be resumed.
    Raises UserError if no MLflow store can be used.
    """
    record = StudyRecord(study, _store(study, warn), warn)
    status = Status.FAILED
    try:
        record.describe()
        yield record
        status = _status(record.refresh())
    except KeyboardInterrupt:
        status = Status.STOPPED
        raise
    finally:
        record.end(status)


def _store(study: Study, warn: Warn) -> MlflowStore:
    """The study's MLflow run: its earlier one if that still exists, else a new one."""
    track, path = study.arms[0].config.track, study.folder / STUDY
    if path.is_file():
        try:
            return MlflowStore.open(track.uri, json.loads(path.read_text(encoding="utf-8"))["run_id"])
        except UserError as error:
            warn(f"the study gets a new run in MLflow: {error}")
    store = MlflowStore.create(track.uri, track.experiment, study.name)
    study.folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"run_id": store.run_id, "study": study.name}))
    return store


def _status(result: StudyResult) -> Status:
    statuses = {job.status for job in result.jobs}
    if statuses & {Status.WAITING, Status.UNFINISHED}:
        return Status.STOPPED
    return Status.FAILED if Status.FAILED in statuses else Status.DONE


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
