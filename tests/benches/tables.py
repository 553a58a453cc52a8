"""What `against_pytorch.py` prints: its measurements as tables in Markdown."""

import statistics

VIEWS = 512  # a measurement of `augment`, on both sides
MEANINGS = {"augment": f"augment, {VIEWS} views on one core", "cold-sample": "cold-sample, whole process"}


def figure(value):
    """Three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def median_of(found, place=0):
    return statistics.median(entry[place] for entry in found)


def small(value):
    """Two digits, or two places where that is more."""
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def spread(values, middle=None, form=figure):
    """`middle`, by default the median, with the least and the largest of `values`."""
    values = list(values)
    middle = statistics.median(values) if middle is None else middle
    return f"{form(middle)} ({form(min(values))} to {form(max(values))})"


def ratio(ours, theirs):
    """Of the medians, with the least and the largest of one round."""
    each = [mine[0] / yours[0] for mine, yours in zip(ours, theirs)]
    return spread(each, median_of(ours) / median_of(theirs), small)


def row(cells):
    return f"| {' | '.join(cells)} |"


def tables(results, peak):
    """Markdown: time, then memory and arithmetic."""
    bare = any("ours, bare" in result["measured"] for result in results.values())
    headings = ["ms", "ours", "PyTorch, best", "ours / best", "PyTorch, as written", "ours / as written"]
    times = [row(headings + ["run / bare step"] * bare)]
    headings = ["memory, MiB; arithmetic", "ours", "PyTorch, best", "ours / best", "as written", "ours / as written"]
    others = [row([*headings, "GFLOP", "of the peak: ours", "PyTorch, best", "floor, ms"])]
    for lines in (times, others):
        lines.append("|" + " --- |" * (lines[0].count("|") - 1))
    for workload, result in results.items():
        name, found = MEANINGS.get(workload, workload), result["measured"]
        best = min((side for side in found if not side.startswith("ours")), key=lambda side: median_of(found[side]))
        ours, theirs, written = found["ours"], found[best], found["as written"]
        ms = [spread(entry[0] for entry in entries) for entries in (ours, theirs, written)]
        ms[1] += f", {best.removeprefix('best, ')}"
        line = [name, ms[0], ms[1], ratio(ours, theirs), ms[2], ratio(ours, written)]
        if bare:
            line.append(ratio(ours, found["ours, bare"]) if "ours, bare" in found else "")
        times.append(row(line))
        memory = [median_of(entries, 1) for entries in (ours, theirs, written)]
        line = [name, figure(memory[0])]
        for other in memory[1:]:
            line += [figure(other), f"{memory[0] / other:.2f}"]
        gflop = result["gflop"]
        if gflop is None:
            line += ["", "", "", ""]
        else:
            floor = gflop / peak * 1e3
            line += [figure(gflop), *(f"{floor / median_of(entries):.0%}" for entries in (ours, theirs)), figure(floor)]
        others.append(row(line))
    text = "\n".join([*times, "", *others])
    if "augment" in results:
        found = results["augment"]["measured"]
        rates = (f"{side} {VIEWS / median_of(entries) * 1e3:,.0f}" for side, entries in found.items())
        text += f"\n\nViews a second a core: {'; '.join(rates)}."
    return text
