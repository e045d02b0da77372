#!/bin/sh
# Copies the libraries of libtorch that the worker loads out of a Python environment.
#
#     copy-libtorch.sh cpu|cuda SITE_PACKAGES DESTINATION
#
# ldd lists the libraries that each library needs, so the copied files follow the wheel. PyTorch's own
# build for CPUs needs fewer libraries than the wheel of the package index, whose libtorch_cpu.so needs
# two of CUDA's libraries even without a GPU. The layout of the wheels stays, torch/lib beside
# nvidia/*/lib: the libraries find each other by relative paths. Their licences are copied too.
set -eu

variant=$1
site=$(cd "$2" && pwd -P)
destination=$3

# Libraries that are opened by name at run time, which ldd cannot list. The worker opens CUDA's part of
# libtorch, libtorch opens the linear algebra and the run-time compiler, and cuDNN opens its engines.
opened_by_name() {
    case $variant in
    cpu) ;;
    cuda)
        if [ ! -e "$site/torch/lib/libtorch_cuda.so" ]; then
            echo "$site has torch's build for CPUs, without libtorch_cuda.so: install torch from an" \
                "index with CUDA's build (PIP_INDEX_URL), or copy for the variant cpu" >&2
            exit 1
        fi
        ls "$site"/torch/lib/libtorch_cuda.so \
            "$site"/torch/lib/libtorch_cuda_linalg.so \
            "$site"/torch/lib/libcaffe2_nvrtc.so \
            "$site"/nvidia/cudnn/lib/libcudnn_*.so.* \
            "$site"/nvidia/cu*/lib/libnvrtc.so.* \
            "$site"/nvidia/cu*/lib/libnvrtc-builtins.so.*
        ;;
    *)
        echo "the variant is $variant, expected cpu or cuda" >&2
        exit 2
        ;;
    esac
}

roots=$(opened_by_name)
for library in "$site/torch/lib/libtorch_cpu.so" $roots; do
    # Libraries outside of the environment are not copied: glibc and the compiler's run time come with
    # the base image, and libcuda with the driver.
    needed=$(ldd "$library" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }')
    for file in "$library" $needed; do
        file=$(cd "$(dirname "$file")" && pwd -P)/$(basename "$file")
        case $file in
        "$site"/*)
            copy=$destination/${file#"$site"/}
            mkdir -p "$(dirname "$copy")"
            cp -L "$file" "$copy"
            ;;
        esac
    done
done

for licenses in "$site"/torch-*.dist-info/licenses "$site"/nvidia_*.dist-info/licenses; do
    [ -d "$licenses" ] || continue
    package=$(basename "$(dirname "$licenses")" .dist-info)
    mkdir -p "$destination/licenses"
    cp -R "$licenses" "$destination/licenses/$package"
done
