"""Better places for the cells that bound the clock of an ECP5 design: nextpnr's placement in, another one out.

nextpnr places for short wires first and asks for timing second. Here its routed design is timed as it times it itself
(:mod:`.delays`, :mod:`.timing`), wires are modelled from how it routed them (:mod:`.wires`), and cells on slow paths
change places with others, which :mod:`.rules` allows: hard blocks all at once (:mod:`.blocks`), pieces of paths, then
one after another (:mod:`.improve`). nextpnr routes the result anew, or only what has moved. The netlist stays as it
is: no net may come into a LUT by another input (:mod:`.pins`).
"""

#: Goes into the name of what is kept of a build: changes with what these modules and ``build/refine.py`` do.
IMPROVES = 7
