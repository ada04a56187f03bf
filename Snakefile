# Skyloom: telescope archives to source catalogs. This file is the table of contents.

from snakemake.utils import min_version

min_version("9.27")


include: "rules/common.smk"


pathvars:
    results=RESULTS,
    logs=LOGS,


wildcard_constraints:
    case="|".join(CASES),
    archive="embedded|local|alma|fermi|lotss",
    chunk=r"\d{3}|stacks",
    shard=r"\d{3}",
    model="[a-z][a-z0-9_]*",
    member=r"\d+",
    dataset="[a-z][a-z0-9_]*",
    variant="[a-z][a-z0-9_]*",
    split="train|validation|test|published|unseen_zenith|unseen_gradient|other_tracer|other_surveys",
    peer="photutils|pybdsf|matched_filter_3d|sofia",
    finder="pybdsf|smoothed_residual|photutils",
    estimator="excess_map|ts_map|ts_map_other_tracer|likelihood_fit|aperture_photometry",


report: "report/workflow.rst"


include: "rules/write_config.smk"
include: "rules/simulate_archive.smk"
include: "rules/simulate_cube_archive.smk"
include: "rules/query_archive.smk"
include: "rules/download_fits.smk"
include: "rules/crop.smk"
include: "rules/label_objects.smk"
include: "rules/augment.smk"
include: "rules/build_dataset.smk"
include: "rules/fetch_irfs.smk"
include: "rules/fetch_clusters.smk"
include: "rules/simulate.smk"
include: "rules/make_examples.smk"
include: "rules/train.smk"
include: "rules/calibrate.smk"
include: "rules/evaluate.smk"
include: "rules/infer.smk"
include: "rules/detect.smk"
include: "rules/stack_photons.smk"
include: "rules/search.smk"
include: "rules/export.smk"
include: "rules/peers.smk"
include: "rules/estimators.smk"
include: "rules/build_catalog.smk"
include: "rules/reference.smk"
include: "rules/plots.smk"
include: "rules/studies.smk"
include: "rules/resources.smk"


rule all:
    default_target: True
    input:
        "<results>/catalog.csv",
        "<results>/config.yaml",
        results_of(
            "<results>/{case}/catalog.csv",
            "<results>/{case}/acknowledgement.txt",
            "<results>/{case}/metrics/scores.csv",
        ),
        results_of("<results>/{case}/metrics/splits.csv", cases=scored_apart()),
        every_plot,


onstart:
    check_account(workflow)


onsuccess:
    print(summary(RESULTS))


onerror:
    print("A step failed; its log is shown above and kept in", LOGS)
