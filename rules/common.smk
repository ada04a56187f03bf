# Configuration and the helpers of all rules; no rule stands here.

import functools
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path("scripts").resolve()))

from snakemake.exceptions import WorkflowError

from skyloom.cases import hook
from skyloom.config.identity import settings_hash
from skyloom.config.load import load
from skyloom.config.schema import CaseSettings
from skyloom.errors import UserError
from skyloom.learn.chains import member_role
from skyloom.learn.chains import roles as chain_roles
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

# The two chains: cutouts are classified, or whole observations are searched.
CLASSIFIED = [name for name, case in CASES.items() if isinstance(case, CaseSettings)]
SEARCHED = [name for name in CASES if name not in CLASSIFIED]

RUN = CONFIG["run"]["name"]
SEED = CONFIG["run"]["seed"]
CHUNKS = CONFIG["run"]["chunks"]
RESULTS = f"results/{RUN}" if RUN else "results"
LOGS = f"logs/{RUN}" if RUN else "logs"

# Few queues let a job run for longer; a training or a download that needs it goes on at the next attempt.
LONGEST = 24 * 60


def library(script):
    """Return an input function: the library files that the script imports, for the job's case and networks."""

    def files(wildcards):
        case, model = wildcards.get("case"), wildcards.get("model")
        found = closure(script, case)
        if case and "scripts/skyloom/nets/__init__.py" in found:
            models = CASES[case].models
            named = models if case in CLASSIFIED else CASES[case].chain
            used = [models[name] for name in ([model] if model else named)]
            found += sorted({f"scripts/skyloom/nets/{one.network}.py" for one in used})
        return found

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
        names = [searched(wildcards.case)] if which == "searched" else case.training_archives
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
    folder = "datasets" if wildcards.case in CLASSIFIED else "examples"
    return f"<results>/{wildcards.case}/{folder}/{model.dataset}.h5"


def every_model(pattern):
    """Return an input function: `pattern` for every model of the case."""

    def files(wildcards):
        return expand(
            pattern, case=wildcards.case, model=list(CASES[wildcards.case].models), allow_missing=True
        )

    return files


def every_member(pattern):
    """Return an input function: `pattern` for every member of every model of the case, or of its chain."""

    def files(wildcards):
        models = CASES[wildcards.case].models
        names = models if wildcards.case in CLASSIFIED else CASES[wildcards.case].chain
        return [
            path
            for name in names
            for path in expand(pattern, case=wildcards.case, model=name, member=range(models[name].members))
        ]

    return files


def results_of(*patterns, cases=tuple(CASES)):
    """Return an input function: the patterns for every case that runs, or for these."""

    def files(wildcards):
        return [path for pattern in patterns for path in expand(pattern, case=cases)]

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
    if wildcards.case in SEARCHED:
        unused = (
            "models",
            "title",
            "peers",
            "decoras",
            "variants",
            "estimators",
            "classical",
            "finders",
            "slow_shards",
            "slow_fields",
            "astroai",
            "fine_tuning",
        )
        parts = {key: value for key, value in case.items() if key not in unused}
        parts["models"] = {name: case["models"][name] for name in case["chain"]}
    else:
        parts = {
            key: value for key, value in case.items() if key not in ("models", "tune", "ablation", "title")
        }
        parts["model"] = case["models"][case["catalog_model"]]
    return settings_hash(json.dumps({"seed": SEED, **parts}, sort_keys=True))


def every_plot(wildcards):
    """Return the figures of all cases that `all` asks for."""
    figures = "<results>/{case}/plots/{name}.png"
    paths = []
    for name in CLASSIFIED:
        names = ["candidates", "sky", "training", "confusion", "curves", "reliability"]
        names.append(f"archive_counts_{searched(name)}")
        models = CASES[name].models.values()
        names += [f"augmentation_{dataset}" for dataset in sorted({model.dataset for model in models})]
        paths += expand(figures, case=name, name=names)
    for name in SEARCHED:
        names = ["sky", "training", *hook(name, "figures")()]
        names.append(f"archive_counts_{searched(name)}")
        paths += expand(figures, case=name, name=names)
    return paths


def catalog_model(wildcards):
    return CASES[wildcards.case].catalog_model


def catalog_dataset(wildcards):
    case = CASES[wildcards.case]
    return f"<results>/{wildcards.case}/datasets/{case.models[case.catalog_model].dataset}.h5"


def simulate_settings(case, *kept):
    """Return the settings of a case's simulations without the numbers of observations, but for those that are kept."""
    counts = {"shards", "train", "validation", "test", *other_splits(case)} - set(kept)
    return {key: value for key, value in CONFIG["cases"][case]["simulate"].items() if key not in counts}


def archived_settings(wildcards):
    """Return what the observations of the embedded archive depend on as JSON."""
    node = CONFIG["cases"][wildcards.case]
    return json.dumps(
        {"simulate": simulate_settings(wildcards.case), "embedded": node["embedded"]}, sort_keys=True
    )


def instrument_files(wildcards):
    return hook(wildcards.case, "instrument_files")(CASES[wildcards.case])


def having(setting):
    """Return the cases that have a setting, such as other detectors to compare."""
    return [name for name, case in CASES.items() if hasattr(case, setting)]


def other_splits(case):
    """Return the splits that a searching case is scored on besides its test observations."""
    return hook(case, "other_splits")(CASES[case].simulate)


def scored_apart():
    """Return the cases that are scored on other splits, too."""
    return [name for name in SEARCHED if other_splits(name)]


def split_scores(pattern):
    """Return an input function: `pattern` for the test split, then for the others that the case is scored on."""

    def files(wildcards):
        names = ["", *(f"{split}_" for split in other_splits(wildcards.case))]
        return [f"<results>/{wildcards.case}/metrics/{name}{pattern}" for name in names]

    return files


def split_names(wildcards):
    return ["test", *other_splits(wildcards.case)]


def compared():
    """Return the cases with other detectors or estimators to compare."""
    return [*having("peers"), *having("estimators"), *having("classical"), *having("finders")]


def showing(figure):
    """Return the cases that search observations and have a figure of this name."""
    return [name for name in SEARCHED if figure in hook(name, "figures")()]


def one_of(names):
    """Return a wildcard's constraint: one of the names, or nothing at all if there is none."""
    return "|".join(names) or "(?!)"


def found_in(kind):
    """Return an input function: the objects, predictions or fields of every chunk of the searched archive."""
    classified = {
        "objects": "cutouts/chunk_{chunk}.objects.ecsv",
        "fields": "cutouts/chunk_{chunk}.fields.ecsv",
        "predictions": "predictions/chunk_{chunk}.ecsv",
    }

    def files(wildcards):
        name = classified[kind] if wildcards.case in CLASSIFIED else f"sources/chunk_{{chunk}}.{kind}.ecsv"
        pattern = f"<results>/{{case}}/{{archive}}/{name}"
        found = chunks(pattern, "searched")(wildcards)
        if stacking(wildcards.case):
            found += expand(pattern, case=wildcards.case, archive=searched(wildcards.case), chunk="stacks")
        return found

    return files


def stacking(case):
    """Return whether the lists of the case's archive are stacked, to be searched as one chunk more."""
    return case in having("stack") and CASES[case].stack.within is not None


def searched_manifest(wildcards):
    name = "stacks/manifest" if wildcards.chunk == "stacks" else "fits/manifest_{chunk}"
    return f"<results>/{{case}}/{{archive}}/{name}.ecsv"


def catalog_labels(wildcards):
    """Return the labels of the objects that trained the networks; simulations alone train those of a search."""
    return "<results>/{case}/training/labels.ecsv" if wildcards.case in CLASSIFIED else []


def cluster_list(wildcards):
    """Return the list of clusters that a search takes those of its images from, if it does."""
    clusters = getattr(CASES[wildcards.case].search, "clusters", None)
    return (clusters and clusters.file) or []


def position_list(wildcards):
    """Return the list of positions that an archive is asked for, if it is one that needs a list."""
    archive = CONFIG["cases"][wildcards.case]["archive"]
    return (wildcards.archive == "lotss" and archive["lotss"]["positions"]) or []


def reference_file(wildcards):
    return CASES[wildcards.case].reference.file or []


def label_argument(wildcards):
    return f"--labels {RESULTS}/{wildcards.case}/training/labels.ecsv" if wildcards.case in CLASSIFIED else ""


def split_settings(wildcards):
    """Return the settings of one split's observations as JSON: how many the others are does not matter to it."""
    return json.dumps(simulate_settings(wildcards.case, "shards", wildcards.split), sort_keys=True)


def example_settings(wildcards):
    """Return what the examples depend on as JSON."""
    node = CONFIG["cases"][wildcards.case]
    parts = {
        "simulate": simulate_settings(wildcards.case),
        "examples": node["examples"],
        "search": {key: node["search"][key] for key in hook(wildcards.case, "example_search")()},
    }
    return json.dumps(parts, sort_keys=True)


def chain_files(case, names):
    """Return the files of some models of a chain, with all members of an ensemble."""
    return [
        f"<results>/{case}/models/{name}_{member}.keras"
        for name in names
        for member in range(CASES[case].models[name].members)
    ]


def in_roles(case, names):
    """Return ROLE=FILE of some models of a chain, as the steps take them."""
    models = CASES[case].models
    roles = chain_roles({name: models[name] for name in names}, hook(case, "roles")())
    return [
        f"{member_role(role, member)}={RESULTS}/{case}/models/{name}_{member}.keras"
        for role, name in roles.items()
        for member in range(models[name].members)
    ]


def needed_models(wildcards):
    return chain_files(wildcards.case, CASES[wildcards.case].needs.get(wildcards.dataset, []))


def needed_roles(wildcards):
    return in_roles(wildcards.case, CASES[wildcards.case].needs.get(wildcards.dataset, []))


def chain_models(wildcards):
    return chain_files(wildcards.case, CASES[wildcards.case].chain)


def all_roles(wildcards):
    return in_roles(wildcards.case, CASES[wildcards.case].chain)


def role_of(wildcards):
    """Return the role of a model in its chain."""
    return in_roles(wildcards.case, [wildcards.model])[0].split("=")[0]


def observation_shards(pattern, *splits):
    """Return an input function: `pattern` for every shard of some splits of the case's simulations, or of the job's."""

    def files(wildcards):
        shards = numbers(CASES[wildcards.case].simulate.shards)
        return [
            path
            for split in splits or [wildcards.split]
            for path in expand(pattern, case=wildcards.case, split=split, shard=shards)
        ]

    return files


def example_shards(ending):
    """Return an input function: what a dataset's predicted examples are made of, if it has such."""

    def files(wildcards):
        if wildcards.dataset not in CASES[wildcards.case].needs:
            return []
        return observation_shards(
            f"<results>/{{case}}/simulated/{{split}}_{{shard}}.{ending}", "train", "validation"
        )(wildcards)

    return files


def variant_chain(wildcards):
    """Return the models of a variant of the chain, in their order."""
    case = CASES[wildcards.case]
    return [case.variants[wildcards.variant].models.get(name, name) for name in case.chain]


def variant_models(wildcards):
    return chain_files(wildcards.case, variant_chain(wildcards))


def variant_roles(wildcards):
    return in_roles(wildcards.case, variant_chain(wildcards))


def decoras_models(wildcards):
    return chain_files(wildcards.case, CASES[wildcards.case].decoras)


def variant_histories(wildcards):
    """Return the histories of the chain's models, each followed by those of the models that stand in for it."""
    case = CASES[wildcards.case]
    names = [
        name
        for model in case.chain
        for name in dict.fromkeys(
            [model, *(one.models[model] for one in case.variants.values() if model in one.models)]
        )
    ]
    return [f"<results>/{wildcards.case}/models/{name}_0.history.csv" for name in names]


def variant_search(wildcards):
    """Return the settings of the search as JSON, with those that a variant has of its own."""
    node = CONFIG["cases"][wildcards.case]
    own = {
        key: value
        for key, value in node["variants"][wildcards.variant].items()
        if key != "models" and value is not None
    }
    return json.dumps({**node["search"], **own}, sort_keys=True)


def detector_names(others):
    """Return a params function: the detectors that are compared, the chain and its `peers` or `variants`."""

    def names(wildcards):
        return ["chain", *getattr(CASES[wildcards.case], others)]

    return names


def detector_files(others, split, ending="ecsv", shards=None):
    """Return an input function: the detections of the chain, then of the others, in all shards of a split.

    Each has those of the first shards only, as many as the params function `shards` tells.
    """

    def files(wildcards):
        names = getattr(CASES[wildcards.case], others)
        folders = ["detections/", *(f"{others}/{name}_" for name in names)]
        counts = shards(wildcards) if shards else [None] * len(folders)
        return [
            path
            for folder, count in zip(folders, counts, strict=True)
            for path in observation_shards(f"<results>/{{case}}/{folder}{{split}}_{{shard}}.{ending}", split)(
                wildcards
            )[:count]
        ]

    return files


def peer_shards(wildcards):
    """Return by how many shards the chain's and each peer's threshold are chosen.

    It is half of them for a peer, as one takes seconds a cube and gets no errors.
    """
    case = CASES[wildcards.case]
    return [case.simulate.shards, *((case.simulate.shards + 1) // 2 for _ in case.peers)]


def estimator_shards(wildcards):
    """Return how many shards the chain and each estimator search: some of those that take seconds a map."""
    case = CASES[wildcards.case]
    every = case.simulate.shards
    few = min(case.slow_shards or every, every)
    return [every, *(few if name in case.SLOW else every for name in case.estimators)]


def classical_shards(wildcards):
    """Return how many shards the chain and each classical search take: some of them, for it takes seconds a patch."""
    case = CASES[wildcards.case]
    every = case.simulate.shards
    return [every, *(min(case.slow_shards or every, every) for _ in case.classical)]


def map_model(wildcards):
    """Return the first network of a chain, which sees whole observations."""
    return chain_files(wildcards.case, CASES[wildcards.case].chain[:1])


def fine_tuning_settings(wildcards):
    """Return what a fine-tuning depends on as JSON."""
    node = CONFIG["cases"][wildcards.case]
    simulate = simulate_settings(wildcards.case)
    return json.dumps(
        {"simulate": simulate, "search": node["search"], "fine_tuning": node["fine_tuning"]}, sort_keys=True
    )


def finder_fields(wildcards):
    """Return the option that limits the fields of a finder that takes long."""
    return f"--most {CASES[wildcards.case].slow_fields}" if wildcards.finder == "pybdsf" else ""


def astroai_models(wildcards):
    return chain_files(wildcards.case, CASES[wildcards.case].astroai)


def astroai_roles(wildcards):
    return in_roles(wildcards.case, CASES[wildcards.case].astroai)


def estimator_settings(wildcards):
    """Return what the maps are made of, as JSON: how many others there are does not matter."""
    return json.dumps(simulate_settings(wildcards.case), sort_keys=True)


def search_threads(wildcards):
    return CASES[wildcards.case].search.threads


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


def shard_observations(wildcards, input):
    simulate = CASES[wildcards.case].simulate
    return getattr(simulate, wildcards.split) / simulate.shards


# Minutes grow as memory does, up to what a queue grants.
minutes = functools.partial(memory, most=LONGEST)


def published_page(wildcards):
    """Return the scores that the case's page in docs/measured holds."""
    names = ["metrics/scores"]
    if wildcards.case in scored_apart():
        names.append("metrics/splits")
    if wildcards.case in compared():
        names.append("peers")
    if wildcards.case in having("peers"):
        names.append("peers_snr")
    if wildcards.case in having("classical"):
        names.append("peers_flux")
    return expand("<results>/{case}/{name}.md", case=wildcards.case, name=names)


def published_table(wildcards):
    """Return the table of the page that docs/scores.md shows."""
    name = "peers" if wildcards.case in compared() else "metrics/scores"
    return f"<results>/{wildcards.case}/{name}.md"


def published_figure(wildcards):
    name = "candidates" if wildcards.case in CLASSIFIED else (*hook(wildcards.case, "figures")(), "sky")[0]
    return f"<results>/{wildcards.case}/plots/{name}.png"
