"""Time from counts maps and photon lists to candidates: Keras, LiteRT, the published cleaner, gammapy, in turns."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

CALIBRATION = {
    "probability": {"weights": [1.0, 0.0, 0.0], "bias": 0.0},
    "errors": {"score": [5.0], "radius68": [1.5], "radius95": [2.5], "scale": [1.0], "photons": [1.2]},
    "threshold": 0.0,
}
"""Stands in where none is given; that of real candidates costs the same."""
MANY = 32
POINTING = (83.6, 22.0)


def main() -> None:
    """Measure in turns and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models", nargs="+", default=[], help="ROLE=FILE (.keras) of trained networks (default: none)"
    )
    parser.add_argument("--calibration", help="theirs (JSON)")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=40, help="of a single map (default: %(default)s)")
    parser.add_argument("--lists", type=int, default=100, help="photon lists (default: %(default)s)")
    args = parser.parse_args()

    from skyloom.learn import backend

    backend.start(args.threads)

    from skyloom.cases import cherenkov
    from skyloom.learn import chains, map_search, photon_search, runtimes, store
    from skyloom.learn.running import Stages

    settings = cherenkov.Search()
    maps, photons, known = simulated(MANY)
    calibration = json.loads(Path(args.calibration).read_text()) if args.calibration else CALIBRATION
    files = chains.chain_files(args.models)
    networks = {role: store.load_model(path) for role, path in files.items()} or untrained()
    chain = {"keras": {}, "litert": {}}
    for role, network in networks.items():
        shape = map_search.padded(photons[:1]).shape[1:] if role == "map" else network.input_shape[1:]
        chain["keras"][role] = runtimes.keras_runner(network)
        chain["litert"][role] = runtimes.litert_runner(runtimes.as_litert(network, shape, "0"), args.threads, role)
    if not files:
        for runners in chain.values():
            runners["map"] = with_truth(runners["map"], maps, photons)
    for runners in chain.values():
        photon_search.warm_up(runners, calibration, settings)
    theirs = runtimes.keras_runner(published_cleaner())
    theirs.warm_up((200, 200, 1))

    rows, cleaner, excess = {}, {1: [], MANY: []}, []
    for turn in range(args.repeats):
        for size in (1, MANY) if turn % 4 == 0 else (1,):
            some = maps[turn % MANY :][:1] if size == 1 else maps
            for name, runners in chain.items():
                stages = Stages()
                wall, spent = timed(
                    lambda some=some, runners=runners, stages=stages: map_search.search_maps(
                        some, runners, settings, stages
                    )
                )
                rows.setdefault((name, size), []).append([*stages.seconds.values(), wall, spent])
            images = np.stack([one.counts for one in some])[..., None]
            cleaner[size].append(timed(lambda images=images: theirs.outputs(images)))
        if turn < 5:
            excess.append(timed(lambda turn=turn: known(maps[turn])))

    weights = "trained" if files else "random weights; their output is replaced by the true photons"
    print(f"\nNetworks: {weights}. {args.threads} threads, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.")
    print(
        "Milliseconds a map of 200 x 200 pixels (one Crab, 100 s): medians, and the quickest whole; processor time is "
        "that of all threads.\n"
    )
    print("| | batch | cleaner | peaks | positions | whole | processor | quickest |\n|---|---|---|---|---|---|---|---|")
    for (name, size), found in sorted(rows.items()):
        values = [*np.median(found, axis=0), min(row[-2] for row in found)]
        columns = " | ".join(f"{value * 1e3 / size:.2f}" for value in values)
        print(f"| {name} | {size} | {columns} |")
    for size, found in cleaner.items():
        wall, spent, best = [*np.median(found, axis=0) * 1e3 / size, min(found)[0] * 1e3 / size]
        print(f"| published cleaner, TensorFlow | {size} | {wall:.2f} | | | | {spent:.2f} | {best:.2f} |")
    wall, spent, best = [*np.median(excess, axis=0) * 1e3, min(excess)[0] * 1e3]
    print(f"| gammapy's excess map and its peaks | 1 | | | | {wall:.2f} | {spent:.2f} | {best:.2f} |")

    lists = [photon_list(one, number) for number, one in enumerate(maps)]
    print(f"\nFrom a photon list in memory ({len(lists[0].ra)} events) to its candidates [ms]:\n")
    print("| | median | 99 % | quickest | processor, median | count | clean | peaks | positions | calibrate |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    latencies = {name: [] for name in chain}
    for turn in range(args.lists):
        for name, runners in chain.items():
            stages = Stages()
            call = (lists[turn % MANY], runners, calibration, settings, stages)
            both = timed(lambda call=call: photon_search.search_list(*call))
            latencies[name].append([*both, *stages.seconds.values()])
    for name, found in latencies.items():
        median, last = np.median(found, axis=0) * 1e3, np.percentile([row[0] for row in found], 99) * 1e3
        parts = " | ".join(f"{value:.1f}" for value in median[1:])
        print(f"| {name} | {median[0]:.1f} | {last:.1f} | {min(found)[0] * 1e3:.1f} | {parts} |")


def timed(call) -> tuple[float, float]:
    """Return how long a call took, and the time of all processors [s]."""
    start, spent = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - spent


def simulated(count: int):
    """Return maps in the published setting, their true photons in networks' pixels, and gammapy's search of a map."""
    from skyloom.cases import cherenkov
    from skyloom.detect import gamma_peers
    from skyloom.detect.simulated_maps import observe
    from skyloom.images.counts import binned

    settings = cherenkov.Simulate(published=count)
    settings.observation.zenith = [20.0]
    responses = cherenkov.responses_of(settings.observation, ROOT / "resources")
    maps, photons = [], []
    for number in range(count):
        field, rng = cherenkov.drawn_field(settings, "published", number, 1, list(responses))
        seen = responses[field.response]
        observed, _ = observe(field, seen, rng)
        source = binned(sum(seen.expected_source(one, field.time) for one in field.sources))
        rest = binned(seen.expected_background(field.background, field.time))
        maps.append(observed)
        photons.append(binned(observed.counts) * source / np.maximum(source + rest, 1e-9))
    known = gamma_peers.Known(seen)
    return maps, np.stack(photons), lambda one: gamma_peers.excess_map(one, known)


def untrained() -> dict:
    """Return networks of the case's architecture with random weights."""
    from skyloom.learn.map_search import CROP
    from skyloom.nets import photon_net, source_net

    return {"map": photon_net.build((100, 100, 1), 2), "position": source_net.build((CROP, CROP, 5), 2)}


def with_truth(runner, maps, photons):
    """Return a network that runs, and then gives the true photons of the maps it knows."""
    from skyloom.images.counts import binned
    from skyloom.learn.map_search import padded
    from skyloom.learn.runtimes import Runner

    known = {int(binned(one.counts).sum()): true for one, true in zip(maps, padded(photons), strict=True)}

    class WithTruth(Runner):
        def outputs(self, images):
            given = runner.outputs(images)
            for number, image in enumerate(images):
                given[number, ..., :1] = known.get(int(image.sum()), 0)
            return given

    return WithTruth(None, runner.output_shape)


def published_cleaner():
    """Return the CNN-cleaner of astroAI."""
    import keras
    from keras import layers

    given = keras.Input((200, 200, 1))
    x = given
    for pool in (layers.AveragePooling2D, layers.AveragePooling2D, layers.UpSampling2D, layers.UpSampling2D):
        x = pool(2)(layers.Conv2D(12, 2, padding="same", activation="relu")(x))
    return keras.Model(given, layers.Conv2D(1, 2, padding="same", activation="sigmoid")(x))


def photon_list(observed, number: int):
    """Return a photon list with the events of a map."""
    from skyloom.images.photon_lists import PhotonList, sky_wcs
    from skyloom.instruments.counts_maps import Frame

    rng = np.random.default_rng(number)
    y, x = np.indices(observed.counts.shape)
    x, y = (np.repeat(axis.ravel(), observed.counts.ravel()) for axis in (x, y))
    wcs = sky_wcs(Frame(200, observed.pixel), *POINTING)
    ra, dec = wcs.wcs_pix2world(*(axis + rng.uniform(-0.5, 0.5, len(axis)) for axis in (x, y)), 0)
    energy = np.exp(rng.uniform(*np.log((0.03, 5.0)), len(ra)))
    return PhotonList(ra, dec, energy, POINTING, 100.0, "", "", 20.0, (0.0, np.inf), "")


if __name__ == "__main__":
    main()
