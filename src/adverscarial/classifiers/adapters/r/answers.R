# What a user's function may return, and how it is told to the other side. Part of bridge.R.

wrong <- function(...) refuse("answer", paste0(...))

as_labels <- function(answer) {
  answer <- if (is.factor(answer)) answer else factor(as.character(answer))
  list(0L, as.integer(answer), levels(answer))
}

as_scores <- function(answer) {
  names <- colnames(answer)
  list(1L, dim(answer), if (is.null(names)) character() else names, as.double(answer))
}

of_cells <- function(answer, n) {
  if (is.null(answer)) wrong("returned NULL for ", n, " cells; expected labels or scores")
  if (inherits(answer, "Matrix")) answer <- as.matrix(answer)
  if (is.data.frame(answer)) {
    answer <- if (ncol(answer) == 1L && !is.numeric(answer[[1L]])) answer[[1L]] else as.matrix(answer)
  }
  shape <- dim(answer)
  if (length(shape) == 3L && shape[3] == 1L) answer <- array(answer, shape[1:2], dimnames(answer)[1:2])
  if (length(shape) == 1L) answer <- as.vector(answer)
  if (is.matrix(answer) && ncol(answer) == 1L && is.character(answer)) answer <- answer[, 1L]
  if (!is.factor(answer) && !is.atomic(answer)) {
    wrong("returned a ", class(answer)[1L], "; expected one label per cell, or scores of cells x classes")
  }
  if (is.matrix(answer)) {
    if (!is.numeric(answer) && !is.logical(answer)) wrong("returned scores of type ", typeof(answer))
    if (nrow(answer) != n) wrong("returned ", nrow(answer), " rows of scores for ", n, " cells")
    return(as_scores(answer))
  }
  if (!is.null(dim(answer))) wrong("returned an array of ", length(shape), " dimensions")
  if (length(answer) != n) wrong("returned ", length(answer), " labels for ", n, " cells")
  as_labels(answer)
}

# of the cluster's cells, or of all cells
for_rows <- function(values, slot, count, part, what) {
  if (count == length(slot$rows)) return(values)
  if (count != slot$n) wrong("returned ", what, " of ", count, " cells; the cluster has ", length(slot$rows))
  part(values, slot$rows)
}

of_cluster <- function(answer, slot) {
  cells <- list()
  share <- 1
  if (is.list(answer) && !is.null(names(answer))) {
    if (is.null(answer$prediction)) wrong("returned a list without 'prediction'")
    if (!is.null(answer$cellTypes)) {
      types <- answer$cellTypes
      cells <- as_labels(for_rows(types, slot, length(types), function(v, rows) v[rows], "cellTypes"))[-1L]
      if (!is.null(answer$typePredictions)) {
        scores <- as.matrix(answer$typePredictions)
        by_row <- function(v, rows) v[, rows, drop = FALSE]
        cells <- c(cells, as_scores(t(for_rows(scores, slot, ncol(scores), by_row, "typePredictions")))[-1L])
      }
    }
    if (!is.null(answer$odd)) share <- answer$odd
    answer <- answer$prediction
  } else if ((is.atomic(answer) || is.list(answer)) && length(answer) == 2L) {
    share <- answer[[2L]]
    answer <- answer[[1L]]
  }
  if (is.factor(answer)) answer <- as.character(answer)
  if (!is.atomic(answer) || length(answer) != 1L) {
    wrong("returned a ", class(answer)[1L], " of length ", length(answer), "; expected c(label, score)")
  }
  number <- suppressWarnings(as.double(share))
  if (length(number) != 1L || is.na(number)) wrong("returned the score ", format(share), "; expected a number")
  label <- if (is.na(answer)) "NaN" else as.character(answer)
  c(list(2L, label, number), cells)
}
