"""The real Snakefile on the tiny preset: all targets, nothing twice, and exactly the jobs that an edit asks for."""

import contextlib
import hashlib
import os
import signal
import subprocess
import time

import pytest
import yaml
from astropy.table import Table

from .conftest import environment

RESULTS = "results/tiny"
CASES = ("disk_winds", "alma_cubes", "cherenkov", "fermi_sources", "diffuse_radio")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextlib.contextmanager
def edited(path, change):
    """Change a file for the time of the block, then give back its content and time."""
    text, status = path.read_text(), path.stat()
    path.write_text(change(text))
    try:
        yield
    finally:
        path.write_text(text)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_run_makes_every_target_and_says_so(finished):
    folder = finished.path / RESULTS
    for name in ("csv", "ecsv", "vot", "fits", "reg", "moc.fits"):
        assert (folder / f"catalog.{name}").stat().st_size > 0
        for case in CASES:
            assert (folder / f"{case}/catalog.{name}").stat().st_size > 0
    catalog = Table.read(folder / "catalog.ecsv")
    assert set(catalog["case"]) == set(CASES)
    assert len(catalog) > 5
    assert f"catalog  {RESULTS}/catalog.csv: {len(catalog)} rows" in finished.output
    for case in CASES:
        assert list((folder / f"{case}/plots").glob("*.png"))


def test_the_resolved_config_stands_beside_the_results(finished):
    config = yaml.safe_load((finished.path / RESULTS / "config.yaml").read_text())
    assert config["run"]["name"] == "tiny"
    assert config["cases"]["disk_winds"]["embedded"]["fields"] == 48


def test_every_row_can_be_traced_to_its_file(finished):
    catalog = Table.read(finished.path / RESULTS / "catalog.ecsv")
    manifests = [Table.read(path) for path in sorted((finished.path / RESULTS).glob("*/embedded/fits/manifest_*.ecsv"))]
    known = {row["sha256"]: row["path"] for table in manifests for row in table}
    for row in catalog:
        assert digest(finished.path / known[row["sha256"]]) == row["sha256"]


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.snakemake("--cores", "2")


def test_a_copy_elsewhere_has_nothing_to_do(finished, tmp_path):
    assert finished.copy(tmp_path / "elsewhere").planned() == {}


def test_no_truth_is_needed_to_search(finished, tmp_path):
    project = finished.copy(tmp_path / "blind")
    folder = project.path / RESULTS / "alma_cubes"
    truths = list(folder.rglob("*.truth.ecsv"))
    assert len(truths) >= 4
    for path in truths:
        path.unlink()
    found = [folder / "detections/test_000.ecsv", *sorted((folder / "embedded/sources").glob("*.ecsv"))]
    before = [path.read_bytes() for path in found]
    assert len(found) == 7
    for path in found:
        path.unlink()
    targets = [str(path.relative_to(project.path)) for path in found]
    # Were a truth an input of these steps, it would be missing, as no rule that makes it may run.
    project.snakemake(*targets, "--cores", "2", "--allowed-rules", "detect_simulated", "search")
    assert [path.read_bytes() for path in found] == before
    assert list(folder.rglob("*.truth.ecsv")) == []


AFTER_TRAIN = {"calibrate", "evaluate", "compare_models", "infer", "build_catalog", "merge_catalogs"}
AFTER_CHAIN = {
    *("detect_simulated", "calibrate_detections", "score_detections", "search"),
    *("build_catalog", "merge_catalogs"),
}
SPLITS = {"score_split", "compare_splits"}


def without_plots(planned):
    return {name for name in planned if not name.startswith("plot_")}


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        ("scripts/crop.py", {"crop", "label_objects", "augment", "build_dataset", "train", *AFTER_TRAIN}),
        ("scripts/skyloom/images/augment.py", {"augment", "build_dataset", "train", *AFTER_TRAIN}),
        ("scripts/skyloom/nets/windnet.py", {"train", *AFTER_TRAIN}),
        ("scripts/infer.py", {"infer", "build_catalog", "merge_catalogs"}),
        ("scripts/skyloom/catalog/writers.py", {"build_catalog", "merge_catalogs"}),
        ("scripts/acknowledge.py", {"acknowledge"}),
        ("resources/columns.yaml", {"build_catalog", "merge_catalogs"}),
        ("scripts/skyloom/learn/cube_chain.py", {"make_examples", "train", *AFTER_CHAIN}),
        ("scripts/skyloom/nets/line_net.py", {"make_examples", "train", *AFTER_CHAIN}),
        ("scripts/skyloom/learn/detection_scores.py", AFTER_CHAIN - {"detect_simulated"} | SPLITS),
        ("scripts/skyloom/learn/map_search.py", {"make_examples", "train", *AFTER_CHAIN, *SPLITS}),
        ("scripts/skyloom/nets/photon_net.py", {"make_examples", "train", *AFTER_CHAIN, *SPLITS}),
        ("scripts/search.py", {"search", "build_catalog", "merge_catalogs"}),
        ("scripts/score_detections.py", {"score_detections", *SPLITS}),
    ],
)
def test_an_edited_file_reruns_what_depends_on_it(finished, path, rules):
    with edited(finished.path / path, lambda text: text + "\n# edited\n"):
        assert without_plots(finished.planned()) == rules


NOT_OF_ALL = (
    "skyloom/config/load",
    "tune",
    "skyloom/nets/blobs_finder",
    "skyloom/detect/peers",
    "skyloom/detect/gamma_peers",
)


def test_files_and_settings_of_other_targets_rerun_nothing(finished, tmp_path):
    extra = tmp_path / "extra.yaml"
    cubes = "alma_cubes: {peers: [photutils], variants: {boxes: {deblend: false}}}"
    extra.write_text(f"cases: {{disk_winds: {{tune: {{trials: 3}}}}, {cubes}}}\n")
    with contextlib.ExitStack() as stack:
        for name in NOT_OF_ALL:
            stack.enter_context(edited(finished.path / f"scripts/{name}.py", lambda text: text + "\n# edited\n"))
        assert finished.planned(configs=[extra]) == {"write_config": 1}


@pytest.mark.parametrize(
    ("setting", "rules"),
    [
        ("crop: {view: 5.0}", {"crop", "label_objects", "augment", "build_dataset", "train", *AFTER_TRAIN}),
        ("augment: {noise: 0.1}", {"augment", "build_dataset", "train", *AFTER_TRAIN}),
        ("models: {thesis_cnn: {epochs: 2}}", {"train", "calibrate", "evaluate", "compare_models"}),
        (
            "calibrate: {purity: 0.9}",
            {"calibrate", "evaluate", "compare_models", "infer", "build_catalog", "merge_catalogs"},
        ),
    ],
)
def test_an_edited_setting_reruns_what_depends_on_it(finished, tmp_path, setting, rules):
    extra = tmp_path / "extra.yaml"
    extra.write_text(f"cases: {{disk_winds: {{{setting}}}}}\n")
    assert without_plots(finished.planned(configs=[extra])) == rules | {"write_config"}


@pytest.mark.parametrize(
    ("setting", "rules"),
    [
        ("search: {focused_snr: 5.0}", AFTER_CHAIN),
        ("search: {line_height: 0.4}", {"make_examples", "train", *AFTER_CHAIN}),
        ("models: {flux: {epochs: 2}}", {"train", *AFTER_CHAIN}),
        (
            "simulate: {test: 4}",
            {"simulate", "detect_simulated", "score_detections", "build_catalog", "merge_catalogs"},
        ),
    ],
)
def test_an_edited_setting_of_a_search_reruns_what_depends_on_it(finished, tmp_path, setting, rules):
    extra = tmp_path / "extra.yaml"
    extra.write_text(f"cases: {{alma_cubes: {{{setting}}}}}\n")
    assert without_plots(finished.planned(configs=[extra])) == rules | {"write_config"}


def test_editing_one_network_setting_trains_only_that_network(finished, tmp_path):
    extra = tmp_path / "extra.yaml"
    extra.write_text("cases: {disk_winds: {models: {thesis_cnn: {epochs: 2}}}}\n")
    assert finished.planned(configs=[extra])["train"] == 1


def test_another_service_leaves_the_embedded_archive_and_the_networks_alone(finished, tmp_path):
    extra = tmp_path / "local.yaml"
    extra.write_text(f"archive: {{service: local, local: {{folder: {tmp_path}}}}}\n")
    planned = without_plots(finished.planned(configs=[extra]))
    of_the_catalog = {"infer", "search", "build_catalog", "merge_catalogs"}
    assert planned == {"query_archive", "download_fits", "acknowledge", "crop", "write_config"} | of_the_catalog
    assert finished.planned(configs=[extra])["query_archive"] == len(CASES)


def test_a_new_file_in_the_archive_touches_its_chunk_only(finished, tmp_path):
    project = finished.copy(tmp_path / "incremental")
    stored = sorted((project.path / RESULTS / "disk_winds/embedded/fits/files").rglob("*.fits"))
    folder = project.path / "mine"
    folder.mkdir()
    for path in stored[:6]:
        (folder / path.name).write_bytes(path.read_bytes())
    extra = tmp_path / "local.yaml"
    extra.write_text("{run: {cases: [disk_winds]}, archive: {service: local, local: {folder: mine}}}\n")
    project.snakemake("--cores", "2", configs=[extra])
    query = project.path / RESULTS / "disk_winds/local/query"
    assert project.planned(configs=[extra]) == {}
    (folder / stored[6].name).write_bytes(stored[6].read_bytes())
    project.snakemake("--cores", "1", "--forcerun", "query_archive", "--until", "query_archive", configs=[extra])
    changes = Table.read(query / "changes.ecsv")
    assert [str(row["change"]) for row in changes] == ["added"]
    planned = project.planned(configs=[extra])
    assert planned["download_fits"] == planned["crop"] == planned["infer"] == 1
    assert "train" not in planned
    project.snakemake("--cores", "2", configs=[extra])
    assert project.planned(configs=[extra]) == {}


def test_two_runs_in_one_folder_and_an_interrupted_one(finished, clean_project, tmp_path):
    project = clean_project("interrupted")
    one_case = tmp_path / "one_case.yaml"
    one_case.write_text("run: {cases: [disk_winds]}\n")
    first = subprocess.Popen(
        project.command("--cores", "2", configs=[one_case]),
        cwd=project.path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not list((project.path / RESULTS).rglob("*.ecsv")) and time.monotonic() < deadline:
            time.sleep(0.2)
        second = project.snakemake("--cores", "1", configs=[one_case], check=False)
        assert "Directory cannot be locked" in second
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    project.snakemake("--unlock")
    project.snakemake("--cores", "2", configs=[one_case])
    catalog = f"{RESULTS}/disk_winds/catalog.csv"
    assert digest(project.path / catalog) == digest(finished.path / catalog)
