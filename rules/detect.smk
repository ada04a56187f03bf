# Simulated observations and the chain of networks in; detections out, then their calibration and the scores.


rule detect_simulated:
    input:
        models=chain_models,
        observations="<results>/{case}/simulated/{split}_{shard}.h5",
        script="scripts/detect_simulated.py",
        library=library("scripts/detect_simulated.py"),
    output:
        detections="<results>/{case}/detections/{split}_{shard}.ecsv",
        times="<results>/{case}/detections/{split}_{shard}.times.csv",
    log:
        "<logs>/{case}/detect_simulated_{split}_{shard}.log",
    benchmark:
        "<logs>/benchmarks/{case}/detect_simulated_{split}_{shard}.tsv"
    conda:
        "../envs/detect_simulated.yaml"
    threads: search_threads
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10, 0.02),
    params:
        settings=settings("search"),
        models=all_roles,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q}"
        " --models {params.models} --observations {input.observations}"
        " --output {output.detections} --times {output.times} > {log:q} 2>&1"


rule calibrate_detections:
    input:
        models=chain_models,
        detections=observation_shards("<results>/{case}/detections/{split}_{shard}.ecsv", "validation"),
        truths=observation_shards("<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "validation"),
        script="scripts/calibrate_detections.py",
        library=library("scripts/calibrate_detections.py"),
    output:
        calibration="<results>/{case}/detections/calibration.json",
    log:
        "<logs>/{case}/calibrate_detections.log",
    benchmark:
        "<logs>/benchmarks/{case}/calibrate_detections.tsv"
    conda:
        "../envs/calibrate_detections.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    params:
        settings=settings("search"),
        models=all_roles,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q}"
        " --detections {input.detections} --truths {input.truths} --models {params.models}"
        " --output {output.calibration} > {log:q} 2>&1"


rule score_detections:
    input:
        detections=observation_shards("<results>/{case}/detections/{split}_{shard}.ecsv", "test"),
        truths=observation_shards("<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "test"),
        calibration="<results>/{case}/detections/calibration.json",
        script="scripts/score_detections.py",
        library=library("scripts/score_detections.py"),
    output:
        scores="<results>/{case}/metrics/chain.json",
        residuals="<results>/{case}/metrics/residuals.ecsv",
        table=report(
            "<results>/{case}/metrics/scores.csv",
            caption="../report/detection_scores.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "scores"},
        ),
        text="<results>/{case}/metrics/scores.md",
    log:
        "<logs>/{case}/score_detections.log",
    benchmark:
        "<logs>/benchmarks/{case}/score_detections.tsv"
    wildcard_constraints:
        case=one_of(SEARCHED),
    conda:
        "../envs/score_detections.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    params:
        settings=settings("search"),
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --detections {input.detections} --truths {input.truths} --calibration {input.calibration}"
        " --scores {output.scores} --residuals {output.residuals} --table {output.table} --text {output.text}"
        " > {log:q} 2>&1"


use rule score_detections as score_split with:
    input:
        detections=observation_shards("<results>/{case}/detections/{split}_{shard}.ecsv"),
        truths=observation_shards("<results>/{case}/simulated/{split}_{shard}.truth.ecsv"),
        calibration="<results>/{case}/detections/calibration.json",
        script="scripts/score_detections.py",
        library=library("scripts/score_detections.py"),
    output:
        scores="<results>/{case}/metrics/{split}_chain.json",
        residuals="<results>/{case}/metrics/{split}_residuals.ecsv",
        table=report(
            "<results>/{case}/metrics/{split}_scores.csv",
            caption="../report/split_scores.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "scores, {split}"},
        ),
        text="<results>/{case}/metrics/{split}_scores.md",
    log:
        "<logs>/{case}/score_{split}.log",
    benchmark:
        "<logs>/benchmarks/{case}/score_{split}.tsv"
    wildcard_constraints:
        case=one_of(scored_apart()),


rule compare_splits:
    input:
        scores=split_scores("chain.json"),
        residuals=split_scores("residuals.ecsv"),
        script="scripts/compare_splits.py",
        library=library("scripts/compare_splits.py"),
    output:
        table=report(
            "<results>/{case}/metrics/splits.csv",
            caption="../report/splits.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "scores of all settings"},
        ),
        text="<results>/{case}/metrics/splits.md",
    log:
        "<logs>/{case}/compare_splits.log",
    benchmark:
        "<logs>/benchmarks/{case}/compare_splits.tsv"
    wildcard_constraints:
        case=one_of(scored_apart()),
    conda:
        "../envs/compare_splits.yaml"
    threads: 1
    resources:
        mem_mb=memory(300),
        runtime=minutes(5),
    params:
        names=split_names,
    shell:
        "python {input.script} --case {wildcards.case} --names {params.names} --scores {input.scores}"
        " --residuals {input.residuals}"
        " --table {output.table} --text {output.text} > {log:q} 2>&1"
