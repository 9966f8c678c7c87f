"""The formats of data, in the order in which they are asked whether a path is theirs.

A new format is one file in this folder and one line in FORMATS. The file has two functions:
`recognises(path, head)`, head being the first 12 bytes of a file and nothing for a folder, and
`read(path, options)`, which gives all `Examples`. The name of a file decides only if its first
bytes do not.
"""

# file in this folder -> what it reads, for messages
FORMATS = {
    "arrays": ".npy, .npz",
    "cifar": "CIFAR-10's batches",
    "idx": "idx files (plain or .gz)",
    "image_pairs": "pairs of pictures",
    "image_folder": "a folder or .zip of pictures",
}
