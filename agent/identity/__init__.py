"""What a holder runs, in the words of the tool that started it: one table of rules, and an engine that knows no tool."""
