def measure_postgres(rounds, only, say):
    return []
