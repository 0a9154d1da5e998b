"""The tables and the rules: the only place a business state lives."""
