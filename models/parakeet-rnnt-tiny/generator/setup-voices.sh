#!/bin/sh
# Installs the speech synthesisers and the Python packages of the data generator on Debian 12.
# Run as root, inside the virtual environment that is to have the Python packages.
set -eu

apt-get install -y --no-install-recommends \
    festival festlex-cmu festlex-poslex \
    festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts \
    libflite1 libespeak-ng1 espeak-ng-data

# The versions that made the committed test set; other versions may give other bytes.
pip install numpy==2.4.6 scipy==1.17.1 soundfile==0.14.0
