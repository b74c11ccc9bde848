"""How `accelzoo.importer` turns a module into a graph.

`recorder` runs the module without numbers and writes down torch's operator calls; `operators` drafts one node for each
call that costs something; `patterns` finds activations that were spelled out; `folding` folds normalisations, factors
and padding into their neighbours; `emission` names what is left and makes the graph.
"""
