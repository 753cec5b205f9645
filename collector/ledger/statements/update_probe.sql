UPDATE probe
SET at_us = $at_us
