# Writes the files beside it with R's own tools; run in this folder: Rscript write.R
# Debian: r-bioc-dropletutils r-bioc-singlecellexperiment. The counts are made up: (7 gene + 3 cell) mod 5, from 1.
library(DropletUtils)
library(SingleCellExperiment)

n_genes <- 6
n_cells <- 4
counts <- outer(seq_len(n_genes), seq_len(n_cells), function(gene, cell) (7 * gene + 3 * cell) %% 5)
ids <- sprintf("ENSG%011d", seq_len(n_genes))
symbols <- c("CD3D", "CD79A", "MS4A1", "NKG7", "LYZ", "GNLY")
cells <- sprintf("%s-1", c("AAAC", "AAAG", "AAAT", "AACC"))
dimnames(counts) <- list(ids, cells)
sparse <- as(counts, "CsparseMatrix")

for (version in c("2", "3")) {
  for (type in c("sparse", "HDF5")) {
    path <- paste0("tenx_", version, if (type == "HDF5") ".h5" else "")
    write10xCounts(path, sparse, gene.id = ids, gene.symbol = symbols, barcodes = cells, type = type,
                   version = version, overwrite = TRUE)
  }
}

sce <- SingleCellExperiment(
  assays = list(counts = sparse, logcounts = log1p(sparse), dense = 2 * counts),
  rowData = DataFrame(symbol = symbols, chromosome = factor(c("11", "19", NA, "11", "11", "11"))),
  colData = DataFrame(cell_type = factor(c("T", "B", "T", "NK")), size = c(1.5, 2, NA, 4)),
  reducedDims = list(PCA = matrix(seq_len(2 * n_cells) / 2, n_cells, dimnames = list(cells, c("PC1", "PC2"))))
)
saveRDS(sce, "sce.rds")
writeLines(c(R.version.string, sprintf("%s %s", c("DropletUtils", "SingleCellExperiment"),
  sapply(c("DropletUtils", "SingleCellExperiment"), function(package) as.character(packageVersion(package))))),
  "versions.txt")
