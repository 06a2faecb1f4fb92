# Writes metafor.json and the data sets beside it.  Run: Rscript metafor.R
suppressMessages({library(metafor); library(jsonlite)})

one <- function(y, v, method, test, X = NULL) {
  # The defaults stop early (PM: 1e-4) and end the search for the upper limit at tau2.max = 100.
  control <- list(threshold = 1e-12, maxiter = 5000, tol = 1e-14, tau2.max = 1e5)
  m <- if (is.null(X)) rma(y, v, method = method, test = test, control = control)
       else rma(y, v, mods = X, method = method, test = test, control = control)
  ci <- suppressMessages(confint(m, control = list(tol = 1e-14, tau2.max = 1e5)))$random
  out <- list(method = method, test = test, beta = as.vector(m$beta), se = m$se, lower = m$ci.lb, upper = m$ci.ub,
    p = m$pval, tau2 = m$tau2, tau2_lower = ci["tau^2", "ci.lb"], tau2_upper = ci["tau^2", "ci.ub"],
    i2 = m$I2 / 100, h2 = m$H2, q = m$QE, q_p = m$QEp)
  if (is.null(X)) { pr <- predict(m); out$prediction <- c(pr$pi.lb, pr$pi.ub) }
  else { out$qm <- m$QM; out$qm_p <- m$QMp; out$r2 <- m$R2 / 100 }
  out
}
grid <- function(y, v, X = NULL, methods = c("REML", "ML", "PM", "DL", "HE"), tests = c("z", "knha", "adhoc"))
  do.call(c, lapply(methods, function(a) lapply(tests, function(b) one(y, v, a, b, X))))

dat <- dat.bcg
write.csv(dat[, c("tpos", "tneg", "cpos", "cneg", "ablat", "year")], "bcg.csv", row.names = FALSE, quote = FALSE)
write.csv(dat.raudenbush1985[, c("yi", "vi")], "raudenbush1985.csv", row.names = FALSE, quote = FALSE)
nor <- dat.normand1999
write.csv(nor[, c("n1i", "m1i", "sd1i", "n2i", "m2i", "sd2i")], "normand1999.csv", row.names = FALSE, quote = FALSE)

kinds <- c("log-risk-ratio" = "RR", "log-odds-ratio" = "OR", "risk-difference" = "RD")
tables <- list(bcg = dat[, c("tpos", "tneg", "cpos", "cneg")],
               zeros = data.frame(tpos = c(0, 3, 10, 0), tneg = c(10, 9, 0, 8), cpos = c(2, 5, 4, 0), cneg = c(8, 7, 6, 9)))
binary <- lapply(tables, function(d) lapply(as.list(kinds), function(k) {
  e <- escalc(measure = k, ai = tpos, bi = tneg, ci = cpos, di = cneg, data = d); list(y = as.vector(e$yi), v = e$vi) }))
means <- lapply(list("mean-difference" = "MD", "standardised-mean-difference" = "SMD", "log-ratio-of-means" = "ROM"), function(k) {
  e <- escalc(measure = k, m1i = m1i, sd1i = sd1i, n1i = n1i, m2i = m2i, sd2i = sd2i, n2i = n2i, data = nor)
  list(y = as.vector(e$yi), v = e$vi) })
plo <- escalc(measure = "PLO", xi = c(0, 3, 10), ni = c(10, 12, 10))

bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat)
three <- list(y = c(-1.55, -0.10, 0.05), v = c(0.0182, 0.1225, 0.0400))
four <- list(y = c(-2.0, -0.6, -0.9, 0.1), v = c(0.64, 0.25, 0.36, 0.04))
alike <- list(y = c(0.30, 0.32, 0.29, 0.33, 0.31), v = c(0.10, 0.20, 0.05, 0.15, 0.08))
two <- list(y = c(-1.2, -0.1), v = c(0.30, 0.05))
pooled <- list(
  bcg = list(y = as.vector(bcg$yi), v = bcg$vi), three = three, four = four, alike = alike, two = two,
  normand = means[["mean-difference"]])
pooled <- lapply(pooled, function(d) c(d, list(fits = grid(d$y, d$v))))
ee <- rma(yi, vi, data = bcg, method = "EE")

permutation <- function(y, v, test) {
  m <- rma(y, v, test = test, control = list(threshold = 1e-10, maxiter = 5000)); permutest(m, exact = TRUE, progbar = FALSE)$pval }
X <- cbind(bcg$ablat)
XY <- cbind(bcg$ablat, bcg$year)
mh <- rma.mh(ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat, measure = "OR")
mz <- rma.mh(ai = tpos, bi = tneg, ci = cpos, di = cneg, data = tables$zeros, measure = "OR")
pe <- rma.peto(ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat)
pz <- rma.peto(ai = tpos, bi = tneg, ci = cpos, di = cneg, data = tables$zeros)
strat <- function(m) list(estimate = as.vector(m$beta), se = m$se, lower = m$ci.lb, upper = m$ci.ub, p = m$pval, q = m$QE, q_p = m$QEp)
eg <- regtest(rma(yi, vi, data = dat.raudenbush1985, control = list(threshold = 1e-12, maxiter = 5000)))

write_json(list(
  versions = list(R = R.version.string, metafor = as.character(packageVersion("metafor")), metadat = as.character(packageVersion("metadat"))),
  binary = binary, means = means, log_odds = list(y = as.vector(plo$yi), v = plo$vi), pooled = pooled,
  equal_effects = list(estimate = as.vector(ee$beta), se = ee$se, i2 = ee$I2 / 100, h2 = ee$H2, q = ee$QE),
  permutation = list(bcg = permutation(bcg$yi, bcg$vi, "z"), four = permutation(four$y, four$v, "knha"), six = permutation(
    c(four$y, -0.4, -1.1), c(four$v, 0.2, 0.3), "knha")),
  regression = list(latitude = grid(bcg$yi, bcg$vi, X, tests = c("z", "knha")), latitude_year = grid(bcg$yi, bcg$vi, XY, tests = c("z", "knha"))),
  mantel_haenszel = list(bcg = c(strat(mh), list(cmh = mh$MH, cmh_p = mh$MHp, tarone = mh$TA, tarone_p = mh$TAp)),
    zeros = c(strat(mz), list(cmh = mz$MH, cmh_p = mz$MHp, tarone = mz$TA, tarone_p = mz$TAp))),
  peto = list(bcg = strat(pe), zeros = strat(pz)),
  egger = list(z = eg$zval, p = eg$pval, b = as.vector(eg$fit$beta))
), "metafor.json", auto_unbox = TRUE, digits = NA, pretty = TRUE)
