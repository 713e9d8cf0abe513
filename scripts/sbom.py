#!/usr/bin/env python3
"""Writes the crates that the program is made of as CycloneDX 1.6 (JSON) to standard output.

They are those that cargo links for this machine: dependencies for tests and build scripts are left out.
"""

import json
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "otto-handler"


def run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def linked(metadata):
    """The ids of the packages that normal dependencies lead to."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, left = set(), [metadata["resolve"]["root"]]
    while left:
        package = left.pop()
        if package in found:
            continue
        found.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                left.append(dependency["pkg"])
    return found


def component(package, checksums):
    name, version = package["name"], package["version"]
    entry = {
        "type": "application" if name == NAME else "library",
        "bom-ref": f"{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:cargo/{name}@{version}",
    }
    if checksum := checksums.get((name, version)):
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["license"]:
        # `/` is an older way to write OR.
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    return entry


def main():
    host = next(line for line in run("rustc", "-vV").splitlines() if line.startswith("host: "))
    platform = ("--filter-platform", host.removeprefix("host: "))
    metadata = json.loads(run("cargo", "metadata", "--locked", "--format-version", "1", *platform))
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {(crate["name"], crate["version"]): crate.get("checksum") for crate in lock}
    ids = linked(metadata)
    packages = sorted((p for p in metadata["packages"] if p["id"] in ids), key=lambda p: (p["name"], p["version"]))
    components = [component(package, checksums) for package in packages]
    own = next(entry for entry in components if entry["name"] == NAME)
    components.remove(own)
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": own},
        "components": components,
    }
    print(json.dumps(bom, indent=1))


main()
