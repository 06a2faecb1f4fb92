# Writes mmrm_r.json: generalised least squares of the FEV data (mmrm_fev.csv) by nlme, and sandwich errors by
# clubSandwich. Run in this folder: Rscript mmrm_r.R (a few seconds).
suppressMessages({library(nlme); library(clubSandwich); library(jsonlite)})

d <- read.csv("mmrm_fev.csv", comment.char = "#")
d <- d[!is.na(d$FEV1), ]
d$AVISIT <- factor(d$AVISIT)
d$VISITN <- as.integer(d$AVISIT)
d$SEX <- factor(d$SEX, levels = c("Male", "Female"))
d$RACE <- factor(c(A = "Asian", B = "Black", W = "White")[substr(d$RACE, 1, 1)])
control <- glsControl(tolerance = 1e-12, msTol = 1e-14, msMaxIter = 2000, maxIter = 500, opt = "nlminb")
each <- varIdent(form = ~ 1 | AVISIT)
structures <- list(
  "unstructured" = list(corSymm(form = ~ VISITN | USUBJID), each),
  "toeplitz" = list(corARMA(form = ~ VISITN | USUBJID, p = 3, q = 0), each),  # any lags 1 to 3 are an AR(3)
  "heterogeneous-ar1" = list(corAR1(form = ~ VISITN | USUBJID), each),
  "ar1" = list(corAR1(form = ~ VISITN | USUBJID), NULL),
  "compound-symmetry" = list(corCompSymm(form = ~ VISITN | USUBJID), NULL)
)

one <- function(name, method) {
  s <- structures[[name]]
  f <- gls(FEV1 ~ ARMCD * AVISIT + RACE + SEX, d, correlation = s[[1]], weights = s[[2]], method = method,
           control = control)
  out <- list(structure = name, method = method, beta = as.list(coef(f)), se = as.list(sqrt(diag(vcov(f)))),
              log_likelihood = as.numeric(logLik(f)))
  if (name %in% c("compound-symmetry", "heterogeneous-ar1") && method == "REML")
    for (kind in c("CR0", "CR2")) {
      test <- coef_test(f, vcov = vcovCR(f, cluster = factor(d$USUBJID), type = kind), test = "Satterthwaite")
      out[[kind]] <- list(se = as.list(setNames(test$SE, names(coef(f)))),
                          df = as.list(setNames(if (is.null(test$df_Satt)) test$df else test$df_Satt, names(coef(f)))))
    }
  out
}

fits <- list()
for (method in c("REML", "ML")) for (name in names(structures)) fits <- c(fits, list(one(name, method)))
versions <- list(R = R.version$version.string, nlme = as.character(packageVersion("nlme")),
                 clubSandwich = as.character(packageVersion("clubSandwich")))
write(toJSON(list(versions = versions, fits = fits), auto_unbox = TRUE, digits = 12, pretty = TRUE), "mmrm_r.json")
