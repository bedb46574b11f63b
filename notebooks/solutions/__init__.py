"""Solutions of the exercises: look only after having tried."""
