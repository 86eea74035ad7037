module kubeforge/components/hello

go 1.24
