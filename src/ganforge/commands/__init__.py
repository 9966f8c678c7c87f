"""What the commands do, as functions that return the text to print: a file for each kind."""
