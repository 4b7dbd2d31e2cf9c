# The R side of adverscarial's RClassifier: reads requests, asks the user's function, and writes its answers.
#
# Everything stays inside local(), so that a script that begins with rm(list = ls()) removes nothing of it.
# Base R only. The other side, and the format of messages: _protocol.py.
local({
  SEPARATOR <- "\037" # behind every text; the other side refuses names that hold it
  PIECE <- 2^27 # numbers read at a time
  if (getRversion() < "4.0.0") {
    cat("R 4.0 or newer is needed, this is ", R.version.string, "\n", sep = "", file = stderr())
    quit("no", status = 4L)
  }

  # -- messages ------------------------------------------------------------------------------------------------------

  place <- commandArgs(trailingOnly = TRUE) # the folder of this file, how to talk, and where
  if (place[2] == "pipes") {
    from <- file(paste0("/dev/fd/", place[3]), "rb", raw = TRUE)
    to <- file(paste0("/dev/fd/", place[4]), "wb", raw = TRUE)
  } else {
    from <- to <- socketConnection("127.0.0.1", as.integer(place[3]), blocking = TRUE, open = "a+b", timeout = 2^30)
    writeBin(charToRaw(Sys.getenv("ADVERSCARIAL_TOKEN")), to)
    Sys.unsetenv("ADVERSCARIAL_TOKEN")
  }

  read_raw <- function(what, n) {
    if (n <= PIECE) {
      found <- readBin(from, what, n, endian = "little")
    } else {
      found <- vector(what, n)
      done <- 0
      while (done < n) {
        piece <- readBin(from, what, min(PIECE, n - done), endian = "little")
        if (!length(piece)) break
        found[done + seq_along(piece)] <- piece
        done <- done + length(piece)
      }
      length(found) <- done
    }
    if (length(found) < n) quit("no", status = 0L) # the other side is gone
    found
  }

  read_field <- function(i) {
    kind <- read_raw("integer", 1L)
    n <- read_raw("double", 1L)
    if (kind == 0L) return(read_raw("integer", n))
    if (kind == 1L) return(read_raw("double", n))
    text <- rawToChar(read_raw("raw", n))
    Encoding(text) <- "UTF-8"
    texts <- if (n) strsplit(text, SEPARATOR, fixed = TRUE)[[1]] else character()
    Encoding(texts) <- "UTF-8"
    texts
  }

  as_field <- function(value) {
    bytes <- if (is.character(value)) {
      value <- gsub(SEPARATOR, " ", enc2utf8(value), fixed = TRUE)
      if (length(value)) charToRaw(paste0(value, SEPARATOR, collapse = "")) else raw()
    } else {
      writeBin(as.vector(value), raw(), endian = "little")
    }
    kind <- if (is.character(value)) 2L else if (is.integer(value)) 0L else 1L
    n <- if (kind == 2L) length(bytes) else length(value)
    c(writeBin(kind, raw(), endian = "little"), writeBin(as.double(n), raw(), endian = "little"), bytes)
  }

  # one write for a whole answer: a socket would wait between several
  reply <- function(id, status, fields) {
    seen <- c(list(as.character(names(warned$count)), as.integer(warned$count)), fields)
    warned$count <- integer()
    head <- writeBin(c(as.integer(status), id, length(seen)), raw(), endian = "little")
    writeBin(c(head, unlist(lapply(unname(seen), as_field))), to)
    flush(to)
  }

  # -- conditions ----------------------------------------------------------------------------------------------------

  warned <- new.env()
  warned$count <- integer() # how often each text came since the last answer

  note <- function(w) {
    text <- conditionMessage(w)
    if (text %in% names(warned$count) || length(warned$count) < 20L) {
      so_far <- warned$count[text]
      warned$count[text] <- if (is.na(so_far)) 1L else so_far + 1L
    }
  }

  # an error of our own about the user's code; `kind` tells the other side what to make of it
  refuse <- function(kind, text, more = character()) {
    stop(structure(class = c("bridgeError", "error", "condition"),
      list(message = text, call = NULL, kind = kind, more = more)))
  }

  described <- function(kind, e, more = character()) {
    call <- conditionCall(e)
    own <- is.null(call) || identical(call[[1L]], quote(state$func)) # the user's function itself is named anyway
    call <- if (own) "" else paste(deparse(call, nlines = 2L), collapse = " ")
    if (nchar(call) > 120L) call <- paste0(substr(call, 1L, 117L), "...")
    list(c(kind, trimws(conditionMessage(e)), call, as.character(more)))
  }

  # status 0: answered, 1: failed, 2: the classifier refuses the input
  guarded <- function(work) {
    tryCatch(
      withCallingHandlers(list(0L, allowInterrupts(work())), warning = function(w) {
        note(w)
        invokeRestart("muffleWarning")
      }),
      rejected = function(e) list(2L, described("rejected", e)),
      bridgeError = function(e) list(1L, described(e$kind, e, e$more)),
      packageNotFoundError = function(e) {
        list(1L, described("package", e, c(e$package, R.version.string, .libPaths())))
      },
      error = function(e) list(if (isTRUE(state$reject)) 2L else 1L, described("error", e)),
      interrupt = function(e) list(1L, list(c("interrupt", "", "")))
    )
  }

  for (part in c("answers.R", "models.R")) sys.source(file.path(place[1], part), envir = environment())

  # -- the user's program --------------------------------------------------------------------------------------------

  state <- new.env()
  slots <- new.env()

  utf8_locale <- function() {
    for (name in c("C.UTF-8", "en_US.UTF-8")) {
      if (l10n_info()[["UTF-8"]]) return(invisible())
      suppressWarnings(Sys.setlocale("LC_CTYPE", name))
    }
  }

  collate <- function(how) {
    if (how == "C") return(invisible(Sys.setlocale("LC_COLLATE", "C")))
    if (!isTRUE(capabilities("ICU"))) {
      refuse("setting", paste0("this R sorts without ICU, so collate = '", how, "' is not to be had"))
    }
    icuSetCollate(locale = how)
  }

  parsed <- function(text, name) {
    lines <- strsplit(text, "\n", fixed = TRUE)[[1]]
    tryCatch(parse(text = lines, keep.source = TRUE, srcfile = srcfilecopy(name, lines), encoding = "UTF-8"),
      error = function(e) refuse("parse", conditionMessage(e)))
  }

  function_named <- function(name) {
    # here and not further: a misspelt name must not find a function of a package
    found <- get0(name, envir = globalenv(), mode = "function", inherits = FALSE)
    if (is.null(found)) {
      defined <- Filter(function(key) is.function(get(key, globalenv())), ls(globalenv()))
      refuse("function", paste0("it defines no function '", name, "'"), defined)
    }
    found
  }

  attach(list(adv_reject = function(reason = "refused by the classifier") {
    stop(structure(class = c("rejected", "error", "condition"), list(message = as.character(reason), call = NULL)))
  }), name = "adverscarial", warn.conflicts = FALSE)

  setup <- function(program, packages, limit) {
    names(program) <- c("script", "name", "func", "rds", "predict", "form", "expression", "cells_in", "collate",
      "errors")
    program <- as.list(program)
    utf8_locale()
    collate(program$collate)
    state$limit <- limit
    state$data_frame <- program$expression == "data.frame"
    state$sparse <- program$expression == "dgCMatrix"
    state$across <- program$cells_in == "columns"
    for (package in packages) library(package, character.only = TRUE)
    if (state$sparse) loadNamespace("Matrix")
    if (nzchar(program$name)) {
      for (expression in as.list(parsed(program$script, program$name))) eval(expression, globalenv())
    }
    state$has_model <- nzchar(program$rds)
    if (state$has_model) {
      state$model <- tryCatch(readRDS(program$rds), error = function(e) {
        refuse("rds", paste0("R cannot read it: ", conditionMessage(e)))
      })
    }
    known <- list(genes = character(), classes = character())
    if (nzchar(program$predict)) {
      state$func <- eval(parsed(program$predict, "predict"), globalenv())
      if (!is.function(state$func)) refuse("parse", "predict= is no function: write function(model, X) ...")
    } else if (nzchar(program$name)) {
      state$func <- function_named(program$func)
    } else {
      known <- known_model(state$model)
      state$func <- known$func
    }
    given <- formals(args(state$func))
    needed <- sum(vapply(given[names(given) != "..."], function(v) is.symbol(v) && !nzchar(v), TRUE))
    state$form <- program$form
    if (state$form == "auto") state$form <- if (needed - state$has_model == 3L) "cluster" else "cells"
    state$reject <- program$errors == "reject"
    packages <- vapply(utils::sessionInfo()$otherPkgs, function(p) paste(p$Package, p$Version), "")
    list(R.version.string, as.character(packages), state$form, as.character(known$genes), as.character(known$classes))
  }

  # -- the data ------------------------------------------------------------------------------------------------------

  # A slot is an environment that holds X alone, so that R changes it in place.
  load_slot <- function(key, shape, values, starts, inside, rows, cells, genes, clusters, target) {
    n <- shape[1]
    p <- shape[2]
    if (shape[3]) { # column by column, without zeros
      columns <- rep.int(seq_len(p), diff(starts))
      X <- if (state$sparse) {
        Matrix::sparseMatrix(i = inside, p = starts, x = values, dims = c(n, p), index1 = FALSE)
      } else {
        dense <- numeric(as.double(n) * p)
        dense[(columns - 1) * n + inside + 1] <- values
        dim(dense) <- c(n, p)
        dense
      }
    } else {
      dim(values) <- c(n, p)
      X <- if (state$sparse) Matrix::Matrix(values, sparse = TRUE) else values
      if (state$sparse) X <- methods::as(methods::as(X, "generalMatrix"), "CsparseMatrix")
    }
    dimnames(X) <- list(cells, genes)
    slot <- new.env()
    slot$rows <- if (length(rows)) rows else seq_len(n)
    slot$n <- n
    slot$target <- target
    slot$clusters <- clusters[-1L]
    slot$clusters[slot$clusters == clusters[1L]] <- NA # the first text stands for cells without a cluster
    if (length(slot$clusters)) names(slot$clusters) <- cells
    if (state$across) X <- if (state$sparse) Matrix::t(X) else t(X)
    slot$X <- if (state$data_frame && !state$across) as.data.frame(X, optional = TRUE) else X
    assign(as.character(key), slot, envir = slots)
    if (as.double(n) * p > 1e7) { # several copies were made on the way
      values <- dense <- X <- NULL
      gc()
    }
    list()
  }

  change <- function(slot, genes, values) {
    slot$genes <- genes
    m <- length(genes)
    if (length(values) == m) values <- rep(values, each = length(slot$rows))
    slot$values <- matrix(values, length(slot$rows), m)
    if (state$across) {
      evalq({
        old <- X[genes, rows, drop = FALSE]
        X[genes, rows] <- t(values)
      }, slot)
    } else if (state$data_frame) {
      evalq({
        class(X) <- NULL # a plain list: changing one column copies one column
        old <- X[genes]
        for (k in seq_along(genes)) X[[genes[k]]][rows] <- values[, k]
        class(X) <- "data.frame"
      }, slot)
    } else {
      evalq({
        old <- X[rows, genes, drop = FALSE]
        X[rows, genes] <- values
      }, slot)
    }
  }

  restore <- function(slot) {
    if (state$across) {
      evalq(X[genes, rows] <- old, slot)
    } else if (state$data_frame) {
      evalq({
        class(X) <- NULL
        X[genes] <- old
        class(X) <- "data.frame"
      }, slot)
    } else {
      evalq(X[rows, genes] <- old, slot)
    }
  }

  accept <- function(key, new, move, genes, values) {
    slot <- get(as.character(key), envir = slots)
    if (move) {
      rm(list = as.character(key), envir = slots)
    } else {
      slot <- list2env(mget(c("X", "rows", "n", "target", "clusters"), envir = slot), envir = new.env())
    }
    change(slot, genes, values)
    slot$old <- NULL
    assign(as.character(new), slot, envir = slots)
    list()
  }

  # -- queries -------------------------------------------------------------------------------------------------------

  ask <- function(key, seed, genes, values) {
    slot <- get(as.character(key), envir = slots)
    RNGkind("Mersenne-Twister", "Inversion", "Rejection")
    set.seed(seed)
    if (length(genes)) {
      on.exit(restore(slot))
      change(slot, genes, values)
    }
    setTimeLimit(elapsed = state$limit + 10, transient = TRUE) # in case that nobody is there any more to interrupt
    on.exit(setTimeLimit(), add = TRUE)
    if (state$form == "cluster") of_cluster(called(slot), slot) else of_cells(called(slot), slot$n)
  }

  # X is named here and nowhere else: a second name would make R copy it at the next change
  called <- function(slot) {
    if (state$data_frame && state$across) {
      expression <- as.data.frame(slot$X, optional = TRUE)
      return(do.call(applied, c(list(expression), of_slot(slot))))
    }
    if (state$form == "cells") return(applied(slot$X))
    applied(slot$X, slot$clusters, slot$target)
  }

  of_slot <- function(slot) if (state$form == "cells") list() else list(slot$clusters, slot$target)

  applied <- function(...) if (state$has_model) state$func(state$model, ...) else state$func(...)

  # -- the loop ------------------------------------------------------------------------------------------------------

  work <- list(
    function(f) setup(f[[1]], f[[2]], f[[3]]),
    function(f) load_slot(f[[1]], f[[2]], f[[3]], f[[4]], f[[5]], f[[6]], f[[7]], f[[8]], f[[9]], f[[10]]),
    function(f) ask(f[[1]], f[[2]], f[[3]], f[[4]]),
    function(f) accept(f[[1]], f[[2]], f[[3]], f[[4]], f[[5]]),
    function(f) {
      rm(list = as.character(f[[1]]), envir = slots)
      list()
    },
    function(f) node_table(state$model)
  )

  # an interrupt is for the user's function alone: one that came while an answer is written would shift the stream
  suspendInterrupts(repeat {
    head <- read_raw("integer", 3L)
    fields <- lapply(seq_len(head[3]), read_field)
    said <- guarded(function() work[[head[1]]](fields))
    fields <- NULL
    reply(head[2], said[[1]], said[[2]])
  })
})
