# Outside `all`: the chain of networks beside classical source finders, and beside chains of other networks.


rule detect_with_peer:
    input:
        cubes="<results>/{case}/simulated/{split}_{shard}.h5",
        script="scripts/detect_with_peer.py",
        library=library("scripts/detect_with_peer.py"),
    output:
        detections="<results>/{case}/peers/{peer}_{split}_{shard}.ecsv",
    log:
        "<logs>/{case}/detect_with_peer_{peer}_{split}_{shard}.log",
    benchmark:
        "<logs>/benchmarks/{case}/detect_with_peer_{peer}_{split}_{shard}.tsv"
    wildcard_constraints:
        case=one_of(having("peers")),
    conda:
        "../envs/detect_with_peer.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30, 0.1),
    shell:
        "python {input.script} --peer {wildcards.peer} --cubes {input.cubes} --output {output.detections} > {log:q} 2>&1"


rule detect_with_decoras:
    input:
        models=decoras_models,
        cubes="<results>/{case}/simulated/{split}_{shard}.h5",
        script="scripts/detect_with_decoras.py",
        library=library("scripts/detect_with_decoras.py"),
    output:
        detections="<results>/{case}/peers/decoras_{split}_{shard}.ecsv",
    log:
        "<logs>/{case}/detect_with_decoras_{split}_{shard}.log",
    benchmark:
        "<logs>/benchmarks/{case}/detect_with_decoras_{split}_{shard}.tsv"
    wildcard_constraints:
        case=one_of(having("decoras")),
    conda:
        "../envs/detect_with_decoras.yaml"
    threads: search_threads
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30, 0.1),
    params:
        settings=settings("search"),
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --models {input.models}"
        " --cubes {input.cubes} --output {output.detections} > {log:q} 2>&1"


rule compare_detectors:
    input:
        validation=detector_files("peers", "validation", shards=peer_shards),
        test=detector_files("peers", "test"),
        times=observation_shards("<results>/{case}/detections/{split}_{shard}.times.csv", "test"),
        validation_truths=observation_shards(
            "<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "validation"
        ),
        test_truths=observation_shards("<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "test"),
        script="scripts/compare_detectors.py",
        library=library("scripts/compare_detectors.py"),
    output:
        table=report(
            "<results>/{case}/peers.csv",
            caption="../report/peers.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "classical peers"},
        ),
        text="<results>/{case}/peers.md",
        by_snr="<results>/{case}/peers_snr.csv",
        by_snr_text="<results>/{case}/peers_snr.md",
        figure=report(
            "<results>/{case}/plots/peers.png",
            caption="../report/peers.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "classical peers"},
        ),
    log:
        "<logs>/{case}/compare_detectors.log",
    benchmark:
        "<logs>/benchmarks/{case}/compare_detectors.tsv"
    wildcard_constraints:
        case=one_of(having("peers")),
    conda:
        "../envs/compare_detectors.yaml"
    threads: 1
    resources:
        mem_mb=memory(700),
        runtime=minutes(20),
    params:
        settings=settings("search"),
        names=detector_names("peers"),
        shards=peer_shards,
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --names {params.names} --chains chain --shards {params.shards} --validation {input.validation} --test {input.test}"
        " --validation-truths {input.validation_truths} --test-truths {input.test_truths}"
        " --times {input.times} --table {output.table} --text {output.text}"
        " --by-snr {output.by_snr} --by-snr-text {output.by_snr_text} --figure {output.figure} > {log:q} 2>&1"


rule detect_with_variant:
    input:
        models=variant_models,
        observations="<results>/{case}/simulated/{split}_{shard}.h5",
        script="scripts/detect_simulated.py",
        library=library("scripts/detect_simulated.py"),
    output:
        detections="<results>/{case}/variants/{variant}_{split}_{shard}.ecsv",
        times="<results>/{case}/variants/{variant}_{split}_{shard}.times.csv",
    log:
        "<logs>/{case}/detect_with_variant_{variant}_{split}_{shard}.log",
    benchmark:
        "<logs>/benchmarks/{case}/detect_with_variant_{variant}_{split}_{shard}.tsv"
    wildcard_constraints:
        case=one_of(having("variants")),
    conda:
        "../envs/detect_simulated.yaml"
    threads: search_threads
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10, 0.02),
    params:
        settings=variant_search,
        models=variant_roles,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q}"
        " --models {params.models} --observations {input.observations}"
        " --output {output.detections} --times {output.times} > {log:q} 2>&1"


rule compare_variants:
    input:
        validation=detector_files("variants", "validation"),
        test=detector_files("variants", "test"),
        times=detector_files("variants", "test", "times.csv"),
        validation_truths=observation_shards(
            "<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "validation"
        ),
        test_truths=observation_shards("<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "test"),
        script="scripts/compare_detectors.py",
        library=library("scripts/compare_detectors.py"),
    output:
        table=report(
            "<results>/{case}/ablation.csv",
            caption="../report/variants.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "variants of the chain"},
        ),
        text="<results>/{case}/ablation.md",
        by_snr="<results>/{case}/ablation_snr.csv",
        by_snr_text="<results>/{case}/ablation_snr.md",
        figure=report(
            "<results>/{case}/plots/ablation.png",
            caption="../report/variants.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "variants of the chain"},
        ),
    log:
        "<logs>/{case}/compare_variants.log",
    benchmark:
        "<logs>/benchmarks/{case}/compare_variants.tsv"
    wildcard_constraints:
        case=one_of(having("decoras")),
    conda:
        "../envs/compare_detectors.yaml"
    threads: 1
    resources:
        mem_mb=memory(700),
        runtime=minutes(20),
    params:
        settings=settings("search"),
        names=detector_names("variants"),
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --names {params.names} --chains {params.names} --validation {input.validation} --test {input.test}"
        " --validation-truths {input.validation_truths} --test-truths {input.test_truths}"
        " --times {input.times} --table {output.table} --text {output.text}"
        " --by-snr {output.by_snr} --by-snr-text {output.by_snr_text} --figure {output.figure} > {log:q} 2>&1"


rule plot_variant_training:
    input:
        histories=variant_histories,
        script="scripts/plot_training.py",
        library=library("scripts/plot_training.py"),
    output:
        figure=report(
            "<results>/{case}/plots/ablation_training.png",
            caption="../report/training.rst",
            category="{case}",
            subcategory="training",
            labels={"figure": "training of the variants"},
        ),
        text="<results>/{case}/ablation_training.md",
    log:
        "<logs>/{case}/plot_variant_training.log",
    benchmark:
        "<logs>/benchmarks/{case}/plot_variant_training.tsv"
    wildcard_constraints:
        case=one_of(having("decoras")),
    conda:
        "../envs/plot_training.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "python {input.script} --histories {input.histories} --output {output.figure} --text {output.text} > {log:q} 2>&1"


rule compare_fields:
    input:
        validation=detector_files("variants", "validation"),
        test=detector_files("variants", "test"),
        times=detector_files("variants", "test", "times.csv"),
        validation_truths=observation_shards(
            "<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "validation"
        ),
        test_truths=observation_shards("<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "test"),
        script="scripts/compare_fields.py",
        library=library("scripts/compare_fields.py"),
    output:
        table=report(
            "<results>/{case}/chains.csv",
            caption="../report/chains.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "other chains"},
        ),
        text="<results>/{case}/chains.md",
        figure=report(
            "<results>/{case}/plots/chains.png",
            caption="../report/chains.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "other chains"},
        ),
    log:
        "<logs>/{case}/compare_fields.log",
    benchmark:
        "<logs>/benchmarks/{case}/compare_fields.tsv"
    wildcard_constraints:
        case=one_of(showing("verdicts")),
    conda:
        "../envs/compare_fields.yaml"
    threads: 1
    resources:
        mem_mb=memory(700),
        runtime=minutes(20),
    params:
        settings=settings("search"),
        names=detector_names("variants"),
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --names {params.names} --validation {input.validation} --test {input.test}"
        " --validation-truths {input.validation_truths} --test-truths {input.test_truths}"
        " --times {input.times} --table {output.table} --text {output.text} --figure {output.figure} > {log:q} 2>&1"


rule detect_with_finder:
    input:
        observations="<results>/{case}/simulated/{split}_{shard}.h5",
        script="scripts/detect_with_finder.py",
        library=library("scripts/detect_with_finder.py"),
    output:
        detections="<results>/{case}/finders/{finder}_{split}_{shard}.ecsv",
        times="<results>/{case}/finders/{finder}_{split}_{shard}.times.csv",
    log:
        "<logs>/{case}/detect_with_finder_{finder}_{split}_{shard}.log",
    benchmark:
        "<logs>/benchmarks/{case}/detect_with_finder_{finder}_{split}_{shard}.tsv"
    wildcard_constraints:
        case=one_of(having("finders")),
    conda:
        "../envs/detect_with_finder.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60, 1, of=shard_observations),
    params:
        settings=settings("search"),
        most=finder_fields,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --finder {wildcards.finder}"
        " {params.most} --observations {input.observations} --output {output.detections} --times {output.times}"
        " > {log:q} 2>&1"


use rule compare_fields as compare_finders with:
    input:
        validation=detector_files("finders", "validation"),
        test=detector_files("finders", "test"),
        times=detector_files("finders", "test", "times.csv"),
        validation_truths=observation_shards(
            "<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "validation"
        ),
        test_truths=observation_shards("<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "test"),
        script="scripts/compare_fields.py",
        library=library("scripts/compare_fields.py"),
    output:
        table=report(
            "<results>/{case}/peers.csv",
            caption="../report/peers.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "classical finders"},
        ),
        text="<results>/{case}/peers.md",
        figure=report(
            "<results>/{case}/plots/peers.png",
            caption="../report/peers.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "classical finders"},
        ),
    log:
        "<logs>/{case}/compare_fields_finders.log",
    benchmark:
        "<logs>/benchmarks/{case}/compare_fields_finders.tsv"
    wildcard_constraints:
        case=one_of(having("finders")),
    params:
        settings=settings("search"),
        names=detector_names("finders"),
        seed=SEED,
