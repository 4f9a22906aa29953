"""The paper of this project: every figure, table and number of its text, from the committed results of the studies."""
