# A dataset in, one member of one network out. Killed at any epoch, the next run goes on from its checkpoint.


rule train:
    input:
        dataset=model_dataset,
        script="scripts/train.py",
        library=library("scripts/train.py"),
    output:
        model="<results>/{case}/models/{model}_{member}.keras",
        history="<results>/{case}/models/{model}_{member}.history.csv",
    log:
        "<logs>/{case}/train_{model}_{member}.log",
    benchmark:
        "<logs>/benchmarks/{case}/train_{model}_{member}.tsv"
    conda:
        "../envs/train.yaml"
    threads: model_threads
    resources:
        gpu=0,
        mem_mb=memory(2500, 0.1),
        runtime=minutes(30, 0.002, of=epoch_megabytes),
    params:
        settings=settings("models.{model}"),
        seed=SEED,
        checkpoint=beside("{results}/{case}/models/{model}_{member}.checkpoint"),
    shell:
        "python {input.script}"
        " --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --gpus {resources.gpu} --model {wildcards.model} --member {wildcards.member} --dataset {input.dataset}"
        " --checkpoint {params.checkpoint:q} --output {output.model} --history {output.history} > {log:q} 2>&1"
