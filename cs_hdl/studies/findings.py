"""What each study found, in words and tables, from its record; each also draws its plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cs_hdl.files import read_record
from cs_hdl.studies import plots

__all__ = [
    "load_record",
    "tell_activations",
    "tell_kwta",
    "tell_masks",
    "tell_networks",
    "tell_scale_out",
    "tell_weights",
]


def load_record(path: Path) -> dict[str, Any] | None:
    """The record in ``path``; None where there is none. InputError where it is damaged."""
    return read_record(path, again="make it again: scripts/studies")


def tell_weights(record: Mapping[str, Any], path: Path, _: Path) -> str:
    points = plots.designs(record)
    plots.weights_plot(points, path)
    (dense,) = (point for point in points if point["mode"] == "dense")
    rows = [
        [_name(p), f"{p['nonzeros']:,}", f"{p['cycles_per_word']:,}", f"{p['multipliers']:,}",
         *(f"{p[key]:,}" for key in ("lut", "ff", "dsp", "block_ram")), f"{_worth(dense, p):.1f}"]
        for p in points
    ]  # fmt: skip
    best = max(points, key=lambda point: _worth(dense, point))
    found = [
        f"**What we found.** Dense takes {dense['lut']:,} LUTs and {dense['multipliers']:,} multipliers at "
        f"{dense['cycles_per_word']:,} cycles a word. The best design here, {_name(best)}, does "
        f"{_worth(dense, best):.1f} times as many words a cycle and LUT."
    ]
    for mode in dict.fromkeys(_group(p) for p in points if p["mode"] != "dense"):
        own = sorted((p for p in points if _group(p) == mode), key=lambda p: p["nonzeros"])
        if len(own) > 1:
            weights, cells = own[-1]["nonzeros"] / own[0]["nonzeros"], own[-1]["lut"] / own[0]["lut"]
            found.append(f"{mode}: {weights:.0f} times as many weights take {cells:.1f} times the LUTs.")
    flat = (
        "LUTs fall more slowly than weights do: borders, accumulators and k-WTA stay, whatever the weights. "
        "There we differ from a straight line through the origin."
    )
    titles = ["design", "weights", "cycles", "multipliers", "LUT", "FF", "DSP", "block RAM", "words/cycle/LUT to dense"]
    return "\n".join([" ".join([*found, flat]), "", _markdown(titles, rows), *_failed(record)])


def tell_activations(record: Mapping[str, Any], path: Path, _: Path) -> str:
    points = plots.designs(record)
    plots.activations_plot(points, path)
    (dense,) = (point for point in points if point["mode"] == "dense")
    found = []
    for sparsity in sorted({p["weight-sparsity"] for p in points if "weight-sparsity" in p}):
        own = [p for p in points if p.get("weight-sparsity") == sparsity]
        (reference,) = (p for p in own if p["mode"] == "sparse-dense")
        both = sorted((p for p in own if p["mode"] == "sparse-sparse"), key=lambda p: p["active-inputs"])
        better = [p for p in both if _worth(dense, p) > _worth(dense, reference)]
        last = better[-1]["active-inputs"] if better else 0
        channels = reference["in-channels"]
        text = (
            f"At {sparsity:.1%} absent weights sparse-dense is worth {_worth(dense, reference):.1f} dense designs "
            "a LUT, "
            f"and sparse-sparse is worth more up to {last} of {channels} active inputs"
            if last
            else f"At {sparsity:.1%} absent weights no number of active inputs that was tried makes sparse-sparse "
            f"worth more a LUT than sparse-dense, which is worth {_worth(dense, reference):.1f} dense designs a LUT"
        )
        if "estimated_kwta_lut" in both[0]:
            shares = [p["estimated_kwta_lut"] / p["estimated_lut"] for p in both]
            text += f" (the k-WTA in front is {min(shares):.0%} to {max(shares):.0%} of the design's LUTs)"
        found.append(text + ".")
    rows = [
        [_name(p), f"{p['cycles_per_word']:,}", f"{p['multipliers']:,}", f"{p['lut']:,}", f"{p['ff']:,}",
         f"{p['macs_dense'] / p['macs_sparse']:.0f}", f"{_worth(dense, p):.1f}"]
        for p in points
    ]  # fmt: skip
    titles = ["design", "cycles", "multipliers", "LUT", "FF", "times fewer products", "words/cycle/LUT to dense"]
    product = (
        "Multipliers fall as the product of both sparsities does; LUTs do not, since a k-WTA comes on top and what is "
        "left around the multipliers stays. So the product is a bound, and LUTs decide where it ends."
    )
    return "\n".join([f"**What we found.** {' '.join(found)} {product}", "", _markdown(titles, rows), *_failed(record)])


def tell_kwta(record: Mapping[str, Any], path: Path, records: Path) -> str:
    components = list(record["components"].values())
    plots.kwta_plot(components, path)
    text = "**What we found.** "
    for kind, values, winners in (("LocalKWTA", 64, 8), ("GlobalKWTA", 1500, 150)):
        first, second = (_cheapest(components, way, values, winners) for way in (kind, "ThresholdKWTA"))
        if first and second:
            text += f"{values} -> {winners}: {first:,} LUTs at its smallest as {_WAYS[kind]}, "
            text += f"{second:,} as a search for the threshold. "
    shares = []
    for name in ("weights-1x1", "weights-3x3"):
        sweep = load_record(records / f"{name}.json")
        for point in plots.designs(sweep) if sweep else ():
            if point.get("estimated_kwta_lut"):
                shares.append(point["estimated_kwta_lut"] / point["estimated_lut"])
    if shares:
        text += (
            f"Of a whole layer (64 -> 64, its borders included) the k-WTA is {min(shares):.0%} to {max(shares):.0%} "
            f"of the LUTs, as estimated: the smaller the layer, the more."
        )
    return text + " The search for the threshold is ours; where cycles allow it, it is the smallest by far.\n"


_WAYS = {"LocalKWTA": "a sorting network", "GlobalKWTA": "a histogram"}


def _cheapest(components: Sequence[Mapping[str, Any]], kind: str, values: int, winners: int) -> int | None:
    found = [
        int(c["cells"]["comb"]) for c in components
        if c["component"] == kind and c["parameters"]["winners"] == winners
        and values in (c["parameters"].get("channels"), c["parameters"].get("features"))
    ]  # fmt: skip
    return min(found, default=None)


def tell_networks(record: Mapping[str, Any], path: Path, _: Path) -> str:
    networks, conditions = record["networks"], record["conditions"]
    plots.networks_plot(networks, path)
    text = [
        f"**What we found** (estimates of the planner, nothing here was synthesised). Weights are "
        f"{conditions['weight_sparsity']:.0%} and activations {conditions['activation_sparsity']:.0%} zero where "
        "they can be: "
        "depthwise kernels stay dense, and behind MobileNetV2's linear bottlenecks no k-WTA can stand. A network "
        "is one "
        "pipeline, every layer at the same rate, all weights on the chip; the clock is taken as "
        f"{conditions['clock_mhz']} MHz. "
        "Devices beyond ECP5 are counted as if their LUTs had four inputs.\n"
    ]
    for name, network in networks.items():
        rows = []
        for number, device in enumerate(d["device"] for d in network["designs"]["dense"]["devices"]):
            rows.append([device, *(_fit(design["devices"][number]) for design in network["designs"].values())])
        text.append(
            f"### {name}: {network['macs'] / 1e9:.2f} G products, {network['weights'] / 1e6:.1f} M weights dense\n"
        )
        text.append(_markdown(["device", *network["designs"]], rows))
        both = network["designs"]["sparse-sparse"]["outside"]
        rates = "; ".join(f"{memory}: {rate:,.0f} words/s" for memory, rate in both["words_per_second"].items())
        text.append(
            "What would lift it: weights from outside. All of them with their kernel ids are "
            f"{both['bytes'] / 1e6:.1f} MB a word "
            f"(sparse-sparse), so at most, if they are read once for each word, {rates}; a batch of n words n "
            "times as many.\n"
        )
        text.append("<details><summary>Every distinct layer, sparse-sparse, at about 100 words a second</summary>\n")
        text.append(_layers_table(network["designs"]))
        text.append("</details>\n")
    sources = "; ".join(f"{family}: {source}" for family, source in conditions["sources"].items())
    return "\n".join([*text, f"Sources of the limits: {sources}.\n"])


def _fit(entry: Mapping[str, Any]) -> str:
    binds = ", ".join(entry["binds"]) or "nothing: no faster folding"
    if entry["fits"]:
        return f"{entry['cycles']:,} cycles, {entry['words_per_second']:,.0f} words/s; binds: {binds}"
    share = ", ".join(f"{much:.1f} times the {kind}" for kind, much in entry["times_too_much"].items())
    return f"does not fit: {share}"


def _layers_table(designs: Mapping[str, Any]) -> str:
    rows = []
    for dense, both in zip(designs["dense"]["layers"], designs["sparse-sparse"]["layers"], strict=True):
        fast = ""
        if both.get("dsp") and "cycles" in both:
            fast = f"{both['macs'] / both['dsp'] / both['cycles']:.0f}"
        rows.append([
            both["name"], str(both["count"]), f"{both['macs'] / 1e6:,.1f}",
            f"{both['nonzeros']:,} of {both['weights']:,}",
            *(f"{both[key]:,}" if key in both else "none" for key in ("cycles", "dsp", "lut", "block_ram")), fast,
            f"{dense['dsp']:,}" if "dsp" in dense else "none",
        ])  # fmt: skip
    titles = ["layer", "times", "M products", "weights", "cycles", "DSP", "LUT", "block RAM", "speed-up", "DSP dense"]
    return _markdown(titles, rows)


def tell_scale_out(record: Mapping[str, Any], path: Path, _: Path) -> str:
    plots.scale_out_plot(record, path)
    rows = [
        [e["device"], f"{e['instances']:,}", f"{e['words_per_second']:,.0f}", ", ".join(e["binds"]),
         f"{8 * e['bytes_per_second'] / 1e9:.2f} Gbit/s", "routed" if e["routed"] else "estimate"]
        for e in record["instances"]
    ]  # fmt: skip
    cuts = [
        [c["after"], f"{c['bytes_dense']:,}", f"{c['bytes_pairs']:,}" if c["bytes_pairs"] else "",
         f"{8 * c['bytes_per_second'] / 1e9:.3f}", c["links"][0] if c["links"] else "none of these"]
        for c in record["cuts"]
    ]  # fmt: skip
    here, there = record["used"], record["ultrascale_plus"]
    return (
        f"**What we found.** One instance, placed and routed on the {record['board']}: "
        f"{record['words_per_second']:,.0f} words/s at "
        f"{record['clock_mhz']:.1f} MHz. On UltraScale+ the same Verilog takes {there['LUT']:,} LUTs (here "
        f"{here['LUT']:,} smaller ones), {there['DSP']:,} DSPs ({here['DSP']:,}) and {there['block RAM']:,} block RAMs "
        f"of 18 kbit ({here['block RAM']:,}), as `synth_xilinx -family xcup` counts them. Below, as many instances as "
        "the planner's share of each device holds, at the same clock: estimates but for the one that was routed "
        "(a faster family would clock higher). Every word "
        f"brings {record['bytes_in']:,} bytes in and {record['bytes_out']:,} out.\n\n"
        + _markdown(["device", "instances", "words/s", "binds", "needs", ""], rows)
        + "\nStages on several boards, cut behind each layer, at the rate of that one instance; behind a k-WTA "
        "only its pairs "
        "need to travel:\n\n"
        + _markdown(["cut behind", "bytes a word", "as pairs", "Gbit/s", "slowest link that does"], cuts)
    )


def tell_masks(record: Mapping[str, Any], path: Path, records: Path) -> str:
    plots.masks_plot(record, path)
    trained = record["trained"]

    def mean(kind: str, key: str, sparsity: float) -> float:
        own = [entry[key] for entry in trained[kind] if entry["sparsity"] == sparsity]
        return float(sum(own) / len(own))

    rows = []
    for sparsity in sorted({entry["sparsity"] for entry in trained["imposed"]}):
        for kind in ("imposed", "random", "pruned"):
            cells = [f"{mean(kind, key, sparsity):.1f}" for key in ("bound", "sets", "spanning_sets")]
            shares = [f"{mean(kind, key, sparsity):.1%}" for key in ("efficiency", "spanning_efficiency", "accuracy")]
            rows.append([f"{sparsity:.2%}", kind, *cells, *shares])
    large = [
        [p["layer"], f"{p['sparsity']:.2%}", p["kind"], *(f"{p[key]:,}" for key in ("bound", "sets", "spanning_sets")),
         *(f"{p[key]:.1%}" for key in ("efficiency", "spanning_efficiency"))]
        for p in record["packed"]
    ]  # fmt: skip
    last = max(entry["sparsity"] for entry in trained["imposed"])
    imposed, pruned, dense = (
        mean("imposed", "accuracy", last),
        mean("pruned", "accuracy", last),
        mean("dense", "accuracy", 0.0),
    )
    titles = ["bound", "sets, whole kernels", "sets, spanning", "filled, whole", "filled, spanning"]
    found = [entry for kind in ("random", "pruned") for entry in trained[kind]]
    found += [entry for entry in record["packed"] if entry["kind"] == "random"]
    reached = sum(entry["spanning_sets"] == entry["bound"] for entry in found)
    return (
        f"**What we found.** {record['network']}, trained on the digits with {len(record['seeds'])} seeds. At "
        f"{last:.2%} "
        f"absent weights the imposed mask reaches {imposed:.1%}, pruning by magnitude {pruned:.1%}, dense {dense:.1%}. "
        "Imposed masks fill their sets with whole kernels. Found ones do not; where kernels may span sets, "
        f"{reached} of "
        f"the {len(found)} found masks below reach the lower bound, but that bound itself is higher, since found masks "
        "use some positions more than others: that is what remains of the price.\n\n"
        + _markdown(["absent", "mask", *titles, "accuracy"], rows)
        + "\nMasks of the size of real layers, not trained:\n\n"
        + _markdown(["layer", "absent", "mask", *titles], large)
        + _tell_speech_masks(load_record(records / "masks-speech.json"))
    )


def _tell_speech_masks(record: Mapping[str, Any] | None) -> str:
    """The same on the speech network, where that was trained."""
    if record is None:
        return "\n*On the speech network: not made yet, `scripts/study-speech-masks FOLDER`.*\n"
    rows = []
    for entry in record["trained"]:
        shares = [f"{entry['before']['test']:.1%}" if "before" in entry else ""]
        shares += [f"{entry['accuracy'][split]:.1%}" for split in ("validation", "test")]
        packed = entry.get("layers", {})  # (none of the dense network)
        sets = [
            f"{packed[name]['bound']} / {packed[name]['sets']} / {packed[name]['spanning_sets']}" if packed else ""
            for name in record["layers"]
        ]
        rows.append([entry["kind"], *shares, *sets])
    titles = [
        "mask",
        "test, untrained",
        "validation",
        "test",
        *(f"{name}: bound / whole / spanning" for name in record["layers"]),
    ]
    return (
        f"\nOn the speech network ({record['data']}; 3 of 25, 100 of 1600 and 80 of 1600 weights a kernel, dense "
        f"activations, float), each sparse one made of the trained dense one and trained on for {record['epochs']} "
        "epochs: imposed masks are chosen by a seed alone, assigned ones are the complementary masks that keep the "
        "most weight, fitted ones those that do on the training split nearly what the dense kernels do "
        "([torch.md](torch.md)), pruned kernels keep their own largest weights, random ones any. Untrained: as they "
        "begin, with new statistics in the batch normalisations. Sets: the fewest that any "
        f"packing needs, with whole kernels, with kernels that may span sets. {_chosen_or_pruned(record)}\n\n"
        + _markdown(titles, rows)
        + f"\nMade by `{record['command']}`.\n"
    )


def _chosen_or_pruned(record: Mapping[str, Any]) -> str:
    """What is paid for masks that complement each other, where they may be chosen by the weights or by data."""
    entries = {entry["kind"]: entry for entry in record["trained"]}
    test = {kind: entry["accuracy"]["test"] for kind, entry in entries.items()}
    behind = {kind: 100 * (test["pruned"] - test[kind]) for kind in ("assigned", "fitted")}
    if max(behind.values()) >= 100 * (test["pruned"] - test["imposed"]):
        return ""
    pruned, one = entries["pruned"]["layers"], entries["assigned"]["layers"]
    sets = [f"{one[name]['sets']} sets in place of {pruned[name]['spanning_sets']}" for name in record["layers"]]
    told = ", ".join(f"{kind} {points:.1f} points" for kind, points in behind.items())
    return (
        f"Behind pruned masks on the test split: {told}, in {', '.join(sets)}. It is the seed that costs accuracy, not "
        "that masks complement each other."
    )


def _group(point: Mapping[str, Any]) -> str:
    active = f", {point['active-inputs']} active inputs" if "active-inputs" in point else ""
    return f"{point['mode']}{active}"


def _name(point: Mapping[str, Any]) -> str:
    sparsity = f", {point['weight-sparsity']:.2%} absent" if "weight-sparsity" in point else ""
    return _group(point) + sparsity


def _worth(dense: Mapping[str, Any], point: Mapping[str, Any]) -> float:
    """Words a cycle and LUT, the dense design's being 1."""
    return float(dense["cycles_per_word"] * dense["lut"] / (point["cycles_per_word"] * point["lut"]))


def _failed(record: Mapping[str, Any]) -> list[str]:
    failed = [point for point in record["points"] if point["status"] != "ok"]
    if not failed:
        return []
    return [f"{len(failed)} of {len(record['points'])} points are missing: {failed[0].get('error', 'not done yet')}\n"]


def _markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
