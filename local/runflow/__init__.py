"""A stand-in of Runflow's public API for one machine, startable by itself: `python -m local.runflow --help`.

It answers as the contract of Runflow's API says (docs/runflow-contract.md), fetches the pictures it is given, paints
out the price tags and stickers it finds, signs and sends callbacks, and counts what Runflow would have billed. The
cleaning is a few lines of OpenCV: far weaker than the model it stands in for.

From the inside out: `model`, `ids`, `problems`, `query`, `faults`, `behaviour`, `wire` and `account` are pure state and
pure functions; `pixels` is the picture work; `outputs`, `courier` and `worker` touch files and the network; `api`,
`admin` and `server` are HTTP.
"""
