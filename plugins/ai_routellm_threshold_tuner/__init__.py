"""Strong or weak model, by the score of a prompt and a threshold that follows the traffic."""
