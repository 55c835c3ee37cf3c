"""One hospital of a federation: MONAI's MonaiAlgo behind NVIDIA FLARE's client interface.

FLARE runs this file at every client; see scripts/federated/simulation.py. In every round it scores the weights that it
is sent on the hospital's own validation cases, trains from them, and sends back what came of it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import nvflare.client as flare
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, FlStatistics
from monai.fl.utils.exchange_object import ExchangeObject
from nvflare.apis.fl_constant import FLMetaKey


def main() -> None:
    """Takes part until the server says that it is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle_root", required=True, help="folder of the bundle on this client")
    parser.add_argument("--settings", required=True, type=Path, help="JSON file that simulation.py writes")
    options = parser.parse_args()
    settings = json.loads(options.settings.read_text())
    sys.path.insert(0, options.bundle_root)  # FLARE runs a copy of this file elsewhere

    flare.init()
    site = flare.get_site_name()
    changes = {**settings["changes"], **settings["sites"][site]}
    algorithm = MonaiAlgo(
        bundle_root=os.path.basename(options.bundle_root),
        local_epochs=settings["local_epochs"],
        send_weight_diff=False,
        config_train_filename=settings["train"],
        train_kwargs=dict(changes),
        config_evaluate_filename=settings["evaluate"],
        eval_kwargs={**changes, **settings["evaluation"]},
    )
    algorithm.initialize({ExtraItems.CLIENT_NAME: site, ExtraItems.APP_ROOT: os.path.dirname(options.bundle_root)})
    while flare.is_running():
        received = flare.receive()
        if received is None:
            break
        shared = ExchangeObject(weights=received.params)
        score = float(algorithm.evaluate(shared).metrics["val_psnr"])
        algorithm.train(shared)
        sent = algorithm.get_weights()
        flare.send(
            flare.FLModel(
                params=sent.weights,
                metrics={"val_psnr": score},
                meta={FLMetaKey.NUM_STEPS_CURRENT_ROUND: sent.statistics[FlStatistics.NUM_EXECUTED_ITERATIONS]},
            )
        )
    algorithm.finalize()


if __name__ == "__main__":
    main()
