"""ExaBGP's program as ours starts it: which of its methods are replaced, one file a question.

ExaBGP stays as released; a few methods are replaced in memory before it starts. replacements.py guards them; each is
shown by a test, and would be worth a patch to the project. All of this runs in ExaBGP's process, which is to stay
small: of ours only this package is imported. ExaBGP's modules are imported inside of functions: importing this package
changes nothing, and costs the sidecar nothing.
"""
