"""What a holder runs, in the words of the tool that started it: a table of rules, an engine that knows no tool."""
