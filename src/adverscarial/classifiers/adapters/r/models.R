# Models that need no predict=: how each is asked, and the genes and classes that it knows. Part of bridge.R.

known_model <- function(model) {
  needs <- function(package) loadNamespace(package) # with it come its methods of predict()
  if (inherits(model, "randomForest")) {
    needs("randomForest")
    if (model$type != "classification") refuse("rds", "it holds a random forest that labels nothing (regression)")
    return(list(func = function(model, X) predict(model, X, type = "prob"), genes = rownames(model$importance),
      classes = as.character(model$classes)))
  }
  if (inherits(model, "ranger")) {
    needs("ranger")
    if (is.null(model$forest)) refuse("rds", "it holds no trees: ranger was called with write.forest = FALSE")
    return(list(func = function(model, X) predict(model, data = X, num.threads = 1L)$predictions,
      genes = model$forest$independent.variable.names, classes = as.character(model$forest$levels)))
  }
  if (inherits(model, "svm")) {
    needs("e1071")
    probabilities <- function(model, X) attr(predict(model, X, probability = TRUE), "probabilities")
    return(list(func = if (model$compprob) probabilities else function(model, X) predict(model, X),
      genes = colnames(model$SV), classes = as.character(model$levels)))
  }
  if (inherits(model, c("glmnet", "cv.glmnet"))) return(known_glmnet(model))
  refuse("rds", paste0("it holds a ", class(model)[1L], ". Say how it is asked: predict='function(model, X) ...'"))
}

known_glmnet <- function(model) {
  loadNamespace("glmnet")
  crossed <- inherits(model, "cv.glmnet")
  fit <- if (crossed) model$glmnet.fit else model
  if (!inherits(fit, c("multnet", "lognet"))) refuse("rds", "it holds a glmnet that labels nothing (regression)")
  lambda <- if (crossed) model$lambda.1se else min(fit$lambda)
  several <- inherits(fit, "multnet")
  func <- function(model, X) {
    if (several) { # not type = "response", which is NaN for very large values
      link <- predict(model, X, s = lambda, type = "link")
      link <- array(link, dim(link)[1:2], dimnames(link)[1:2])
      p <- exp(link - apply(link, 1L, max))
      return(p / rowSums(p))
    }
    p <- predict(model, X, s = lambda, type = "response")
    p <- cbind(1 - p[, 1L], p[, 1L])
    colnames(p) <- fit$classnames
    p
  }
  list(func = func, genes = rownames(if (several) fit$beta[[1L]] else fit$beta), classes = fit$classnames)
}

# one row per node of a randomForest
node_table <- function(model) {
  if (!inherits(model, "randomForest") || model$type != "classification") {
    refuse("rds", "it holds no randomForest that labels cells")
  }
  if (any(model$forest$ncat > 1)) refuse("rds", "its trees split on categories, not on numbers")
  trees <- lapply(seq_len(model$ntree), function(k) {
    nodes <- randomForest::getTree(model, k)
    cbind(k, seq_len(nrow(nodes)), nodes[, 1:2, drop = FALSE], nodes[, 5], nodes[, 3], nodes[, 4], nodes[, 6])
  })
  list(as.double(do.call(rbind, trees)), rownames(model$importance), as.character(model$classes))
}
