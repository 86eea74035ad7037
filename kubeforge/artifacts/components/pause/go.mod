module kubeforge/components/pause

go 1.24
