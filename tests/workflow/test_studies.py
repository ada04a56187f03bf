"""Targets that `all` leaves out: the quick ones are made, of the slow ones the jobs are planned."""

import shutil

from skyloom.learn.variants import VARIANTS

from .test_workflow import RESULTS

CASE = f"{RESULTS}/disk_winds"
ABLATION = f"{CASE}/plots/ablation.png"
QUICK = [
    f"{CASE}/plots/tuning.png",
    f"{CASE}/ablation/everything.json",
    "docs/measured/disk_winds.md",
    f"{RESULTS}/resources.csv",
    f"{RESULTS}/alma_cubes/peers.csv",
    f"{RESULTS}/alma_cubes/moments.csv",
    f"{RESULTS}/cherenkov/embedded/stacks/manifest.ecsv",
    f"{RESULTS}/cherenkov/models/cleaner.tflite",
]
SLOW = {
    f"{RESULTS}/cherenkov/peers.csv": (
        *("make_examples", "train", "detect_with_gammapy", "detect_with_astroai", "compare_estimators"),
    ),
    f"{RESULTS}/fermi_sources/peers.csv": ("detect_with_ts_map", "compare_ts_maps"),
    f"{RESULTS}/diffuse_radio/peers.csv": ("detect_with_finder", "compare_finders"),
    f"{RESULTS}/diffuse_radio/fine_tuning.csv": ("fine_tune",),
}
"""Made with all their jobs by `make test-envs`."""


def ablation_of_one_part(project):
    """Let one part of the ablation stand for all of them: their trainings differ in a setting only."""
    for variant in VARIANTS:
        if variant != "everything":
            shutil.copy(
                project.path / f"{CASE}/ablation/everything.json", project.path / f"{CASE}/ablation/{variant}.json"
            )


def test_quick_ones_are_made(finished, tmp_path):
    project = finished.copy(tmp_path / "studies")
    assert project.planned() == {}
    project.snakemake(*QUICK, "--cores", "2")
    ablation_of_one_part(project)
    project.snakemake(ABLATION, "--cores", "2")
    assert all((project.path / target).stat().st_size > 0 for target in (*QUICK, ABLATION))
    assert project.planned() == {}


def test_slow_ones_are_planned_from_what_is_there(finished):
    for target, rules in SLOW.items():
        assert set(finished.planned(target)) == set(rules), target
