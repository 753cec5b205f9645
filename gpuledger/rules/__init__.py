"""Rules as data: facts about what somebody wants, conditions over them, and the action that follows. Pure."""
