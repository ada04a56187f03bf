# Configuration and the helpers of all rules; no rule stands here.

import functools
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path("scripts").resolve()))

from snakemake.exceptions import WorkflowError

from skyloom.config.identity import settings_hash
from skyloom.config.load import load
from skyloom.errors import UserError
from skyloom.learn.variants import VARIANTS, changed
from skyloom.workflow.account import check_account
from skyloom.workflow.closure import closure
from skyloom.workflow.interpreter import prefer_this_python
from skyloom.workflow.summary import summary

try:
    CONFIG, CASES = load(workflow.config_settings.configfiles, workflow.config_settings.config)
except UserError as error:
    raise WorkflowError(f"configuration: {error}") from None

prefer_this_python()

RUN = CONFIG["run"]["name"]
SEED = CONFIG["run"]["seed"]
CHUNKS = CONFIG["run"]["chunks"]
RESULTS = f"results/{RUN}" if RUN else "results"
LOGS = f"logs/{RUN}" if RUN else "logs"

# Few queues let a job run for longer; a training or a download that needs it goes on at the next attempt.
LONGEST = 24 * 60


def library(script):
    """Return an input function: the library files that the script imports, for the job's case."""

    def files(wildcards):
        return closure(script, wildcards.get("case"))

    return files


def settings(section):
    """Return a params function: one section of the case's settings as JSON, and nothing else of the config."""

    def value(wildcards):
        node = CONFIG["cases"][wildcards.case]
        for key in section.format(**wildcards).split("."):
            node = node[key]
        return json.dumps(node, sort_keys=True)

    return value


def archive_settings(part):
    """Return a params function: one part of the archive's settings, and the job's own service, as JSON.

    What is said of another archive is left out, so that turning to another service does not touch this one.
    """

    def value(wildcards):
        node = CONFIG["cases"][wildcards.case]["archive"]
        own = {"service": wildcards.archive, part: node[part]}
        if wildcards.archive in node:
            own[wildcards.archive] = node[wildcards.archive]
        return json.dumps(own, sort_keys=True)

    return value


def numbers(count):
    return [f"{number:03d}" for number in range(count)]


def searched(case):
    return CASES[case].archive["service"]


def chunks(pattern, which="all"):
    """Return an input function: `pattern` for every chunk of every training archive, or of the searched one."""

    def files(wildcards):
        case = CASES[wildcards.case]
        names = {"training": case.training_archives, "searched": [searched(wildcards.case)]}[which]
        return expand(pattern, case=wildcards.case, archive=names, chunk=numbers(CHUNKS), allow_missing=True)

    return files


def simulated(pattern):
    """Return an input function: `pattern` for every shard, if the job's archive is the embedded one."""

    def files(wildcards):
        if wildcards.get("archive", "embedded") != "embedded":
            return []
        shards = numbers(CASES[wildcards.case].embedded.shards)
        return expand(pattern, case=wildcards.case, shard=shards)

    return files


def truth(wildcards):
    """Return the truth tables of the embedded archive, if it trains."""
    if "embedded" not in CASES[wildcards.case].training_archives:
        return []
    return simulated("<results>/{case}/embedded/simulated/shard_{shard}.truth.ecsv")(wildcards)


def label_file(wildcards):
    """Return the case's table of labels, if an archive trains whose truth is not known by itself."""
    case = CASES[wildcards.case]
    return case.labels.file if case.labels.file and set(case.training_archives) - {"embedded"} else []


def shard_count(wildcards):
    return CASES[wildcards.case].embedded.shards


def label_option(wildcards):
    return f"--label-file {file}" if (file := label_file(wildcards)) else ""


def beside(pattern):
    """Return a params function: a path that is no output, because it must survive a failed job."""

    def path(wildcards):
        return pattern.format(results=RESULTS, **wildcards)

    return path


def members(wildcards):
    count = CASES[wildcards.case].models[wildcards.model].members
    return expand(
        "<results>/{case}/models/{model}_{member}.keras",
        case=wildcards.case,
        model=wildcards.model,
        member=range(count),
    )


def model_threads(wildcards):
    return CASES[wildcards.case].models[wildcards.model].threads


def catalog_threads(wildcards):
    case = CASES[wildcards.case]
    return case.models[case.catalog_model].threads


def tuned_threads(wildcards):
    case = CASES[wildcards.case]
    return case.models[case.tune.model].threads


def calibrate_threads(wildcards):
    return CASES[wildcards.case].calibrate.threads


def catalog_models(wildcards):
    case = CASES[wildcards.case]
    return expand(
        "<results>/{case}/models/{model}_{member}.keras",
        case=wildcards.case,
        model=case.catalog_model,
        member=range(case.models[case.catalog_model].members),
    )


def catalog_calibration(wildcards):
    return f"<results>/{wildcards.case}/models/{CASES[wildcards.case].catalog_model}.calibration.json"


def model_dataset(wildcards):
    model = CASES[wildcards.case].models[wildcards.model]
    return f"<results>/{wildcards.case}/datasets/{model.dataset}.h5"


def every_model(pattern):
    """Return an input function: `pattern` for every model of the case."""

    def files(wildcards):
        return expand(
            pattern, case=wildcards.case, model=list(CASES[wildcards.case].models), allow_missing=True
        )

    return files


def every_member(pattern):
    """Return an input function: `pattern` for every member of every model of the case."""

    def files(wildcards):
        return [
            path
            for name, model in CASES[wildcards.case].models.items()
            for path in expand(pattern, case=wildcards.case, model=name, member=range(model.members))
        ]

    return files


def results_of(*patterns):
    """Return an input function: the patterns for every case that runs."""

    def files(wildcards):
        return [path for pattern in patterns for path in expand(pattern, case=list(CASES))]

    return files


def catalog_model_settings(wildcards):
    case = CASES[wildcards.case]
    return settings(f"models.{case.catalog_model}")(wildcards)


def tuned_dataset(wildcards):
    case = CASES[wildcards.case]
    return f"<results>/{wildcards.case}/datasets/{case.models[case.tune.model].dataset}.h5"


def tuned_model_settings(wildcards):
    return settings(f"models.{CASES[wildcards.case].tune.model}")(wildcards)


def catalog_config(wildcards):
    """Return a short hash of the settings that the case's catalog depends on."""
    case = CONFIG["cases"][wildcards.case]
    parts = {key: value for key, value in case.items() if key not in ("models", "tune", "ablation", "title")}
    parts["model"] = case["models"][case["catalog_model"]]
    return settings_hash(json.dumps({"seed": SEED, **parts}, sort_keys=True))


def every_plot(wildcards):
    """Return the figures of all cases that `all` asks for."""
    figures = "<results>/{case}/plots/{name}.png"
    paths = []
    for name, case in CASES.items():
        names = ["candidates", "sky", "training", "confusion", "curves", "reliability"]
        names.append(f"archive_counts_{searched(name)}")
        names += [
            f"augmentation_{dataset}" for dataset in sorted({model.dataset for model in case.models.values()})
        ]
        paths += expand(figures, case=name, name=names)
    return paths


def catalog_model(wildcards):
    return CASES[wildcards.case].catalog_model


def catalog_dataset(wildcards):
    case = CASES[wildcards.case]
    return f"<results>/{wildcards.case}/datasets/{case.models[case.catalog_model].dataset}.h5"


def ablation_length(wildcards):
    length = CASES[wildcards.case].ablation
    return f"--repeats {length.repeats}" + (f" --epochs {length.epochs}" if length.epochs else "")


def variant_settings(section):
    """Return a params function: a section of the case's settings as a variant of the ablation has them."""

    def value(wildcards):
        node = CONFIG["cases"][wildcards.case][section]
        return json.dumps(changed(node, wildcards.variant, section), sort_keys=True)

    return value


def megabytes(wildcards, input):
    """Return the size of the inputs; those that are not made yet (in a dry run) count as nothing."""
    return sum(os.path.getsize(path) for path in input if os.path.exists(path)) / 2**20


def largest_megabytes(wildcards, input):
    return max((megabytes(wildcards, [path]) for path in input), default=0)


def epoch_megabytes(wildcards, input):
    """Return what a training reads."""
    return CASES[wildcards.case].models[wildcards.model].epochs * megabytes(wildcards, input)


def trial_megabytes(wildcards, input):
    """Return what the trainings of all trials read."""
    tune = CASES[wildcards.case].tune
    return tune.trials * tune.epochs * megabytes(wildcards, input)


def repeat_megabytes(wildcards, input):
    """Return what the trainings of a variant of the ablation read."""
    case = CASES[wildcards.case]
    epochs = case.ablation.epochs or case.models[case.catalog_model].epochs
    return case.ablation.repeats * epochs * megabytes(wildcards, input)


def shard_fields(wildcards, input):
    embedded = CASES[wildcards.case].embedded
    return embedded.fields / embedded.shards


def memory(base, slope=0, of=megabytes, most=sys.maxsize):
    """Return a resource function: so many MB, and `slope` more a unit of work; so much again at each attempt."""

    def value(wildcards, input, attempt):
        return min(most, attempt * round(base + (slope * of(wildcards, input) if slope else 0)))

    return value


# Minutes grow as memory does, up to what a queue grants.
minutes = functools.partial(memory, most=LONGEST)
