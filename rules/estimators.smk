# Outside `all`: the search of counts maps by networks beside other estimators.


rule detect_with_gammapy:
    input:
        maps="<results>/{case}/simulated/{split}_{shard}.h5",
        instruments=instrument_files,
        script="scripts/detect_with_gammapy.py",
        library=library("scripts/detect_with_gammapy.py"),
    output:
        detections="<results>/{case}/estimators/{estimator}_{split}_{shard}.ecsv",
    log:
        "<logs>/{case}/detect_with_gammapy_{estimator}_{split}_{shard}.log",
    benchmark:
        "<logs>/benchmarks/{case}/detect_with_gammapy_{estimator}_{split}_{shard}.tsv"
    wildcard_constraints:
        case=one_of(having("estimators")),
    conda:
        "../envs/detect_with_gammapy.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500),
        runtime=minutes(60, 0.1),
    params:
        settings=estimator_settings,
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --estimator {wildcards.estimator} --maps {input.maps} --output {output.detections} > {log:q} 2>&1"


rule detect_with_astroai:
    input:
        models=astroai_models,
        maps="<results>/{case}/simulated/{split}_{shard}.h5",
        script="scripts/detect_with_astroai.py",
        library=library("scripts/detect_with_astroai.py"),
    output:
        detections="<results>/{case}/estimators/astroai_{split}_{shard}.ecsv",
    log:
        "<logs>/{case}/detect_with_astroai_{split}_{shard}.log",
    benchmark:
        "<logs>/benchmarks/{case}/detect_with_astroai_{split}_{shard}.tsv"
    wildcard_constraints:
        case=one_of(having("astroai")),
    conda:
        "../envs/detect_with_astroai.yaml"
    threads: search_threads
    resources:
        mem_mb=memory(2500),
        runtime=minutes(60, 0.1),
    params:
        settings=settings("search"),
        models=astroai_roles,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --models {params.models}"
        " --maps {input.maps} --output {output.detections} > {log:q} 2>&1"


rule compare_estimators:
    input:
        validation=detector_files("estimators", "validation", shards=estimator_shards),
        test=detector_files("estimators", "test", shards=estimator_shards),
        published=detector_files("estimators", "published", shards=estimator_shards),
        times=observation_shards("<results>/{case}/detections/{split}_{shard}.times.csv", "test"),
        validation_truths=observation_shards(
            "<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "validation"
        ),
        test_truths=observation_shards("<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "test"),
        published_truths=observation_shards(
            "<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "published"
        ),
        script="scripts/compare_estimators.py",
        library=library("scripts/compare_estimators.py"),
    output:
        table=report(
            "<results>/{case}/peers.csv",
            caption="../report/peers.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "other estimators"},
        ),
        text="<results>/{case}/peers.md",
        figure=report(
            "<results>/{case}/plots/peers.png",
            caption="../report/peers.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "other estimators"},
        ),
    log:
        "<logs>/{case}/compare_estimators.log",
    benchmark:
        "<logs>/benchmarks/{case}/compare_estimators.tsv"
    wildcard_constraints:
        case=one_of(having("estimators")),
    conda:
        "../envs/compare_estimators.yaml"
    threads: 1
    resources:
        mem_mb=memory(700),
        runtime=minutes(20),
    params:
        settings=settings("search"),
        names=detector_names("estimators"),
        shards=estimator_shards,
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --names {params.names} --shards {params.shards} --validation {input.validation} --validation-truths {input.validation_truths}"
        " --test {input.test} --test-truths {input.test_truths} --published {input.published}"
        " --published-truths {input.published_truths} --times {input.times}"
        " --table {output.table} --text {output.text} --figure {output.figure} > {log:q} 2>&1"


rule detect_with_ts_map:
    input:
        patches="<results>/{case}/simulated/{split}_{shard}.h5",
        instruments=instrument_files,
        script="scripts/detect_with_ts_map.py",
        library=library("scripts/detect_with_ts_map.py"),
    output:
        detections="<results>/{case}/classical/{estimator}_{split}_{shard}.ecsv",
    log:
        "<logs>/{case}/detect_with_ts_map_{estimator}_{split}_{shard}.log",
    benchmark:
        "<logs>/benchmarks/{case}/detect_with_ts_map_{estimator}_{split}_{shard}.tsv"
    wildcard_constraints:
        case=one_of(having("classical")),
    conda:
        "../envs/detect_with_ts_map.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500),
        runtime=minutes(120, 0.5),
    params:
        settings=split_settings,
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --estimator {wildcards.estimator} --patches {input.patches} --output {output.detections} > {log:q} 2>&1"


rule compare_ts_maps:
    input:
        validation=detector_files("classical", "validation", shards=classical_shards),
        test=detector_files("classical", "test", shards=classical_shards),
        times=observation_shards("<results>/{case}/detections/{split}_{shard}.times.csv", "test"),
        validation_truths=observation_shards(
            "<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "validation"
        ),
        test_truths=observation_shards("<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "test"),
        script="scripts/compare_ts_maps.py",
        library=library("scripts/compare_ts_maps.py"),
    output:
        table=report(
            "<results>/{case}/peers.csv",
            caption="../report/ts_maps.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "maps of the test statistic"},
        ),
        text="<results>/{case}/peers.md",
        by_flux="<results>/{case}/peers_flux.md",
        figure=report(
            "<results>/{case}/plots/peers.png",
            caption="../report/ts_maps.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "maps of the test statistic"},
        ),
    log:
        "<logs>/{case}/compare_ts_maps.log",
    benchmark:
        "<logs>/benchmarks/{case}/compare_ts_maps.tsv"
    wildcard_constraints:
        case=one_of(having("classical")),
    conda:
        "../envs/compare_ts_maps.yaml"
    threads: 1
    resources:
        mem_mb=memory(700),
        runtime=minutes(20),
    params:
        settings=settings("search"),
        names=detector_names("classical"),
        shards=classical_shards,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q}"
        " --names {params.names} --shards {params.shards}"
        " --validation {input.validation} --validation-truths {input.validation_truths}"
        " --test {input.test} --test-truths {input.test_truths} --times {input.times}"
        " --table {output.table} --text {output.text} --by-flux {output.by_flux} --figure {output.figure} > {log:q} 2>&1"
