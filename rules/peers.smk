# Outside `all`: classical source finders on the same cubes, and the table that compares them with the networks.


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
    conda:
        "../envs/detect_with_peer.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30, 0.1),
    shell:
        "python {input.script} --peer {wildcards.peer} --cubes {input.cubes} --output {output.detections} > {log:q} 2>&1"


rule compare_detectors:
    input:
        validation=detector_files("validation"),
        test=detector_files("test"),
        validation_truths=cube_shards("<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "validation"),
        test_truths=cube_shards("<results>/{case}/simulated/{split}_{shard}.truth.ecsv", "test"),
        calibration="<results>/{case}/detections/calibration.json",
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
    conda:
        "../envs/compare_detectors.yaml"
    threads: 1
    resources:
        mem_mb=memory(700),
        runtime=minutes(20),
    params:
        settings=settings("search"),
        names=detector_names,
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --names {params.names} --validation {input.validation} --test {input.test}"
        " --validation-truths {input.validation_truths} --test-truths {input.test_truths}"
        " --calibration {input.calibration} --table {output.table} --figure {output.figure} > {log:q} 2>&1"
