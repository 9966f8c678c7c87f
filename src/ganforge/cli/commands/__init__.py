"""Every command, one file each: its options, help text and work.

A command returns text, or yields lines and returns an exit code; `app` prints. The file of a
command imports torch, numpy and the like inside its functions only, so that help is fast.
"""

# command -> module:function (or the App of a command that has commands in it)
COMMANDS = {
    "--install-completion": "ganforge.cli.commands.install_completion:install",
    "cite": "ganforge.cli.commands.cite:cite",
    "compare": "ganforge.cli.commands.compare:compare",
    "data": "ganforge.cli.commands.data:data",
    "demo": "ganforge.cli.commands.demo:demo",
    "diagnose": "ganforge.cli.commands.diagnose:diagnose",
    "directions": "ganforge.cli.commands.directions:directions",
    "evaluate": "ganforge.cli.commands.evaluate:evaluate",
    "export": "ganforge.cli.commands.export:export",
    "help": "ganforge.cli.commands.help:show",
    "interpolate": "ganforge.cli.commands.interpolate:interpolate",
    "lab": "ganforge.cli.commands.lab:lab",
    "mix": "ganforge.cli.commands.mix:mix",
    "plot": "ganforge.cli.commands.plot:plot",
    "project": "ganforge.cli.commands.project:project",
    "pull": "ganforge.cli.commands.pull:pull",
    "push": "ganforge.cli.commands.push:push",
    "recipes": "ganforge.cli.commands.recipes:recipes",
    "report": "ganforge.cli.commands.report:report",
    "reproduce": "ganforge.cli.commands.reproduce:reproduce",
    "runs": "ganforge.cli.commands.runs:runs",
    "sample": "ganforge.cli.commands.sample:sample",
    "serve": "ganforge.cli.commands.serve:serve",
    "train": "ganforge.cli.commands.train:train",
    "translate": "ganforge.cli.commands.translate:translate",
    "watch": "ganforge.cli.commands.watch:watch",
}
