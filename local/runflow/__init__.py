"""A mock of Runflow's public API on one machine, which also runs alone: `python -m local.runflow --help`.

It answers as the contract of Runflow's API says (docs/runflow-contract.md), fetches the
photos it is given, paints out the price tags and stickers it finds, signs and sends callbacks, and counts what
Runflow would have billed. The cleaning is a few lines of OpenCV: far weaker than Runflow's model.

From the inside out: `model`, `ids`, `problems`, `query`, `faults`, `behaviour`, `wire` and `account` are pure state and
pure functions; `pixels` is the image processing; `outputs`, `callback_sender` and `worker` touch files and the network;
`api`, `admin` and `server` are HTTP.
"""
