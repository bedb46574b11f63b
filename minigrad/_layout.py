"""Where to put the boxes of a directed graph, and how to lead its edges around them.

The layered scheme of Sugiyama, Tagawa and Toda ("Methods for visual understanding of hierarchical system
structures", 1981) in four steps, each a function below: give every node a row under all of its inputs; let an edge that
spans several rows occupy a slot in each row it passes; order the rows so that few edges cross; choose columns. Since a
slot is kept free for every passing edge and an edge bends only between two rows, no edge can run through a box.
"""

from bisect import bisect_right, insort
from collections import defaultdict
from dataclasses import dataclass

SPACE, SLOT = 22.0, 12.0  # between neighbours in a row; width kept free for a passing edge
GAP = 34.0                # between rows, where edges bend
ATTRACT, SETTLE = 24, 60  # sweeps that move nodes together; sweeps that only straighten
PORT = 12.0               # between the arrowheads on one box
LEAF = 1e-3               # how strongly a leaf pulls at the column of what is computed from it; a computed node: 1


@dataclass(frozen=True)
class Layout:
    """Boxes as (left, top, width, height); routes as points, joined by a vertical line and a bend in turn."""

    boxes: list
    routes: list
    width: float
    height: float


def layered(sizes, edges):
    """Lay out a graph from top to bottom.

    Parameters
    ----------
    sizes : list of (width, height)
        One box a node. Nodes are numbered so that every edge leads to a larger number.
    edges : list of (int, int)
        Source and target; the same edge may come more than once.

    Returns
    -------
    Layout
        A route runs from the bottom of the source's box to the top of the target's: points 0-1 vertical, 1-2 a bend,
        2-3 vertical, and so on.
    """
    slots, chains = insert_slots(assign_rows(len(sizes), edges), edges)
    links = sorted({link for chain in chains for link in zip(chain, chain[1:])})
    order = order_rows(slots, links, edges, len(sizes))
    width = [size[0] for size in sizes] + [SLOT] * (len(slots) - len(sizes))
    x = choose_columns(order, width, links, straight_runs(chains, len(sizes)))

    left = min(x[v] - width[v] / 2 for v in range(len(x)))
    x = [value - left for value in x]
    ports = place_ports(x, width, chains)
    top, y = [], 0.0
    heights = [max([sizes[v][1] for v in row if v < len(sizes)], default=0.0) for row in order]
    for height, room in zip(heights, bend_room(len(order), slots, x, links)):
        top.append(y)
        y += height + GAP + room
    boxes = []
    for v, (w, h) in enumerate(sizes):
        boxes.append((x[v] - w / 2, top[slots[v]] + (heights[slots[v]] - h) / 2, w, h))
    bottom = [start + height for start, height in zip(top, heights)]
    routes = [route(chain, port, x, slots, boxes, top, bottom) for chain, port in zip(chains, ports)]
    return Layout(boxes, routes, max(x[v] + width[v] / 2 for v in range(len(x))), bottom[-1])


def assign_rows(n, edges):
    """Row of every node: under all of its inputs; leaves and side branches as low as they can be, beside their use."""
    inputs, outputs = defaultdict(set), defaultdict(set)
    for u, v in edges:
        inputs[v].add(u)
        outputs[u].add(v)
    row = [0] * n
    for v in range(n):
        row[v] = max((row[u] + 1 for u in inputs[v]), default=0)
    for v in reversed(range(n)):
        if outputs[v] and len(outputs[v]) >= sum(bool(inputs[u]) for u in inputs[v]):
            row[v] = min(row[w] for w in outputs[v]) - 1
    return row


def insert_slots(rows, edges):
    """Rows of nodes and slots, and each edge as a chain through the slots. Edges from one node share theirs."""
    slots, slot_of, chains = list(rows), {}, []
    for u, v in edges:
        chain = [u]
        for row in range(rows[u] + 1, rows[v]):
            if (u, row) not in slot_of:
                slot_of[u, row] = len(slots)
                slots.append(row)
            chain.append(slot_of[u, row])
        chains.append([*chain, v])
    return slots, chains


def order_rows(slots, links, edges, n):
    """Order each row to have few crossings: sort by the mean position of the neighbours above and below, in turn."""
    above, below = defaultdict(list), defaultdict(list)
    for u, v in links:
        above[v].append(u)
        below[u].append(v)
    computed = {v for _, v in edges}
    use = {u: i for i, (u, _) in reversed(list(enumerate(edges)))}  # operands from left to right: x, weight, bias
    order = [[] for _ in range(max(slots) + 1)]
    # To begin with passing edges are on the left, what is computed beside them, leaves on the right.
    for v in sorted(range(len(slots)), key=lambda v: (v < n, v < n and v not in computed, use.get(v, v))):
        order[slots[v]].append(v)

    best, fewest = [list(row) for row in order], crossings(order, below)
    for sweep in range(16):
        if not fewest:
            break
        down = sweep % 2 == 0
        for row in order if down else reversed(order):
            sort_by_neighbours(row, order, slots, above if down else below)
        if (count := crossings(order, below)) < fewest:
            best, fewest = [list(row) for row in order], count
    return best


def sort_by_neighbours(row, order, slots, neighbours):
    """Sort a row in place by the mean position of each node's neighbours; a node without any keeps its place."""
    step = -1 if any(slots[u] < slots[v] for v in row for u in neighbours[v]) else 1
    here = slots[row[0]] + step
    position = {u: i for i, u in enumerate(order[here])} if 0 <= here < len(order) else {}
    mean = {v: sum(position[u] for u in neighbours[v]) / len(neighbours[v]) for v in row if neighbours[v]}
    row_sorted = iter(sorted(mean, key=mean.get))
    row[:] = [next(row_sorted) if v in mean else v for v in row]


def crossings(order, below):
    """Number of pairs of edges that cross between neighbouring rows."""
    total = 0
    for upper, lower in zip(order, order[1:]):
        position = {v: i for i, v in enumerate(lower)}
        seen = []
        for end in (end for u in upper for end in sorted(position[v] for v in below[u])):
            total += len(seen) - bisect_right(seen, end)
            insort(seen, end)
    return total


def choose_columns(order, width, links, runs):
    """Centre of every node: near what it is linked with, in the row's order, without overlaps, and runs straight.

    Alternating projections: a sweep over the rows moves every node to the mean of its neighbours as far as the row lets
    it; then every run takes its mean column. In the end the rows alone move, so that nothing overlaps.
    """
    pull, leaves = defaultdict(list), {u for u, _ in links} - {v for _, v in links}
    for u, v in links:
        strength = LEAF if u in leaves else 1.0
        pull[v].append((u, strength))
        pull[u].append((v, strength))
    least = [[(width[u] + width[v]) / 2 + SPACE for u, v in zip(row, row[1:])] for row in order]
    mass = [1.0] * len(width)
    for run in runs:
        for v in run:
            mass[v] = float(len(run))
    x = [0.0] * len(width)
    for sweep in range(ATTRACT + SETTLE):
        rows = list(zip(order, least))
        for row, distances in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [x[v] for v in row]
            if sweep < ATTRACT:
                wanted = [weighted_mean((x[u], w) for u, w in pull[v]) if pull[v] else x[v] for v in row]
            for v, value in zip(row, spread(wanted, [mass[v] for v in row], distances)):
                x[v] = value
        for run in runs if sweep < ATTRACT + SETTLE - 1 else ():
            mean = sum(x[v] for v in run) / len(run)
            for v in run:
                x[v] = mean
    return x


def weighted_mean(pairs):
    """Mean of values given as (value, weight)."""
    values, weights = zip(*pairs)
    return sum(v * w for v, w in zip(values, weights)) / sum(weights)


def straight_runs(chains, n):
    """The paths to draw as straight lines: each passing edge, and each line of nodes along their main inputs."""
    passing, arriving, computed = defaultdict(dict), defaultdict(list), {chain[-1] for chain in chains}
    for chain in chains:
        arriving[chain[-1]].append(chain[-2])
        passing[chain[0]].update(dict.fromkeys(chain[1:-1]))
    follows = {}
    for v, sources in arriving.items():
        near = [u for u in sources if u < n]
        main = [u for u in near if u in computed] or near[:1]
        if main and main[0] not in follows:
            follows[main[0]] = v
    lines = []
    for first in sorted(set(follows) - set(follows.values())):
        line = [first]
        while line[-1] in follows:
            line.append(follows[line[-1]])
        lines.append(line)
    return [run for run in [*map(list, passing.values()), *lines] if len(run) > 1]


def spread(wanted, weights, least):
    """The points nearest to `wanted` (weighted least squares) whose neighbours keep the distances `least`.

    Shifted by the distances, the condition is that the points do not decrease: isotonic regression, solved by pooling
    neighbours that are out of order.
    """
    shift = [0.0]
    for distance in least:
        shift.append(shift[-1] + distance)
    pools = []  # [mean, weight, members]
    for value, weight, offset in zip(wanted, weights, shift):
        pools.append([value - offset, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, weight, members = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + mean * weight) / (last[1] + weight)
            last[1] += weight
            last[2] += members
    flat = [mean for mean, _, members in pools for _ in range(members)]
    return [value + offset for value, offset in zip(flat, shift)]


def place_ports(x, width, chains):
    """Where each edge meets the top of its target's box: straight under its source if it can be, arrowheads apart."""
    arriving = defaultdict(list)
    for i, chain in enumerate(chains):
        arriving[chain[-1]].append(i)
    ports = [0.0] * len(chains)
    for v, edges in arriving.items():
        edges.sort(key=lambda i: x[chains[i][-2]])
        distance = min(PORT, (width[v] - PORT) / len(edges))
        half = (width[v] - PORT) / 2
        low = [x[v] - half + distance * i for i in range(len(edges))]
        high = [x[v] + half - distance * (len(edges) - 1 - i) for i in range(len(edges))]
        wanted = [min(max(x[chains[i][-2]], a), b) for i, a, b in zip(edges, low, high)]
        straight = [100.0 if abs(x[chains[i][-2]] - x[v]) < 1 else 1.0 for i in edges]
        for i, value, a, b in zip(edges, spread(wanted, straight, [distance] * (len(edges) - 1)), low, high):
            ports[i] = min(max(value, a), b)
    return ports


def bend_room(rows, slots, x, links):
    """Extra height under each row: more where an edge bends far to the side."""
    room = [0.0] * rows
    for u, v in links:
        room[slots[u]] = max(room[slots[u]], min(40.0, 0.08 * abs(x[u] - x[v])))
    return room


def route(chain, port, x, slots, boxes, top, bottom):
    """Points of one edge, from the bottom of its source's box to its port on the target's."""
    first, last = chain[0], chain[-1]
    points = [(x[first], boxes[first][1] + boxes[first][3]), (x[first], bottom[slots[first]])]
    for v in chain[1:-1]:
        points += [(x[v], top[slots[v]]), (x[v], bottom[slots[v]])]
    return [*points, (port, top[slots[last]]), (port, boxes[last][1])]
